package main

import (
	"encoding/base64"
	"fmt"
	"os"
)

// auditPolicy has every request logged as one line of JSON, when it is complete: who counts lines counts requests.
// A watch is complete, and so logged, when it ends. The stage Panic comes in place of ResponseComplete, not beside it.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
`

// writeFiles writes, into the current directory, what the components and their users read.
//
// ca.key is for tests, which sign certificates with it for the nodes that they make up.
func writeFiles(server string) (ca, admin identity, err error) {
	if ca, err = newAuthority(); err != nil {
		return
	}
	// Of all groups, only this one may do everything without a rule that says so. The controller manager shares it.
	if admin, err = ca.client("admin", "system:masters"); err != nil {
		return
	}
	api, err := ca.server()
	if err != nil {
		return
	}
	// Only its key is used: it signs the tokens of service accounts.
	accounts, err := ca.server()
	if err != nil {
		return
	}
	for name, identity := range map[string]identity{"ca": ca, "admin": admin, "server": api, "service-accounts": accounts} {
		if err = identity.write(name); err != nil {
			return
		}
	}
	if err = os.WriteFile("admin.kubeconfig", kubeconfig(server, ca, admin), 0o600); err != nil {
		return
	}
	err = os.WriteFile("audit-policy.yaml", []byte(auditPolicy), 0o644)
	return
}

// kubeconfig needs no file beside it.
func kubeconfig(server string, ca, user identity) []byte {
	inline := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: cluster
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: user
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: cluster
  context:
    cluster: cluster
    user: user
current-context: cluster
`, server, inline(ca.certificatePEM()), inline(user.certificatePEM()), inline(user.keyPEM()))
}
