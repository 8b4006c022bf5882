package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// defaultControllers are those whose work spot-guard meets: the taint that follows a cordon, budgets, and what every
// namespace is made of. None of them deletes a pod that a test made up.
const defaultControllers = "namespace-controller,serviceaccount-controller,node-lifecycle-controller," +
	"disruption-controller,endpointslice-controller"

// startControlPlane starts the three components, which find each other by themselves in whatever order they come up.
// It finds the files of writeFiles in the current directory.
func startControlPlane(c *children, port int, controllers string) error {
	// Sockets in the current directory: no port to choose, and none for strangers. Without fsync it loses data when the
	// machine crashes; so what. What it advertises is for other members, which do not exist.
	const etcd = "unix://etcd.sock"
	if err := c.start("etcd",
		"--data-dir=etcd",
		"--unsafe-no-fsync",
		"--listen-client-urls="+etcd, "--listen-peer-urls=unix://peers.sock",
		"--advertise-client-urls=http://localhost:2379",
	); err != nil {
		return err
	}
	if err := c.start("kube-apiserver",
		"--etcd-servers="+etcd,
		"--bind-address=127.0.0.1", "--secure-port="+strconv.Itoa(port),
		// The Service `kubernetes` would announce an address to pods, which cannot be one of loopback.
		"--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--tls-cert-file=server.crt", "--tls-private-key-file=server.key", "--client-ca-file=ca.crt",
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		// It would want a service account, and a token, before any pod can be made up.
		"--disable-admission-plugins=ServiceAccount",
		"--service-account-issuer=https://cluster.invalid",
		"--service-account-signing-key-file=service-accounts.key", "--service-account-key-file=service-accounts.crt",
		"--service-cluster-ip-range=10.0.0.0/24",
		"--allow-privileged=true",
		"--audit-policy-file=audit-policy.yaml", "--audit-log-path=audit.log",
		"--audit-log-maxsize=4096", // MB; never rotated, so that who counts its lines misses none
	); err != nil {
		return err
	}
	return c.start("kube-controller-manager",
		"--kubeconfig=admin.kubeconfig",
		"--controllers="+controllers,
		"--leader-elect=false",
		"--secure-port=0",
		"--service-account-private-key-file=service-accounts.key",
		// A test's node has no kubelet: it says once that it is Ready, and is believed for ever.
		"--node-monitor-grace-period=10000h", "--node-startup-grace-period=10000h",
		// The default of 20 requests a second is for sparing a shared API server.
		"--kube-api-qps=1000", "--kube-api-burst=1000",
	)
}

// waitUntilReady returns when the API server says that it is ready and the controller manager has done its first work.
func waitUntilReady(ctx context.Context, server string, ca, admin identity) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca.certificate)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: roots,
		Certificates: []tls.Certificate{{
			Certificate: [][]byte{admin.certificate.Raw},
			PrivateKey:  admin.key,
		}},
	}}}
	for _, path := range []string{
		"/readyz",
		// Made by the API server after it says that it is ready.
		"/api/v1/namespaces/default",
		// Made by the controller manager.
		"/api/v1/namespaces/default/serviceaccounts/default",
	} {
		if err := waitFor(ctx, &client, server+path); err != nil {
			return err
		}
	}
	return nil
}

// waitFor asks until the answer is 200.
func waitFor(ctx context.Context, client *http.Client, url string) error {
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		last := ""
		if response, err := client.Do(request); err != nil {
			last = err.Error()
		} else {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
			last = response.Status
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: GET %s: %s", context.Cause(ctx), url, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
