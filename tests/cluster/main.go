// Command cluster is a Kubernetes control plane in one file, for the tests.
//
// Prebuilt binaries of a control plane have to be downloaded from somewhere; a Go module can be built wherever Go can
// build anything. So the upstream components are linked into this one program, which becomes one of them by its first
// argument, and `cluster up` starts them as children of itself.
package main

import (
	"fmt"
	"os"
	"strings"
)

const usage = `usage: cluster up --dir DIR [--port PORT] [--controllers LIST]
       cluster etcd|kube-apiserver|kube-controller-manager|kubelet ARGUMENT...
`

func main() {
	name := ""
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	// A component reads os.Args itself, and names itself after the first.
	if run, ok := components[name]; ok {
		os.Args = os.Args[1:]
		os.Exit(run())
	}
	if name != "up" {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := up(os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "cluster up: %s\n", strings.TrimSpace(err.Error()))
		os.Exit(1)
	}
}
