//! Stand-ins for the metadata service, the API server and a kubelet.
