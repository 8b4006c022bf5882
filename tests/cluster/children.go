package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// children are the components that run for this cluster.
type children struct {
	// assets is KUBEBUILDER_ASSETS, or empty.
	assets  string
	running []*exec.Cmd
	waiting sync.WaitGroup
	// ended gets, for each component that ends, how it ended.
	ended chan error
}

// newChildren is called before the current directory changes, to which KUBEBUILDER_ASSETS may be relative.
func newChildren() (*children, error) {
	c := children{ended: make(chan error, 8)} // more than there are components: nobody waits for a reader
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		var err error
		if c.assets, err = filepath.Abs(assets); err != nil {
			return nil, err
		}
	}
	return &c, nil
}

// start starts a component in the current directory, where it leaves NAME.log and NAME.pid.
//
// The kernel kills a child when the thread that started it ends: the caller must stay on its thread
// (runtime.LockOSThread). In return nothing outlives this process, not even when it is itself killed.
func (c *children) start(name string, arguments ...string) error {
	log, err := os.Create(name + ".log")
	if err != nil {
		return err
	}
	defer log.Close()

	command := c.program(name)
	command.Args = append(command.Args, arguments...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{
		Pdeathsig: syscall.SIGKILL,
		Setpgid:   true, // Ctrl-C is for this process alone, which then ends them in order
	}
	if err := command.Start(); err != nil {
		return err
	}
	c.running = append(c.running, command)
	c.waiting.Go(func() {
		command.Wait()
		c.ended <- fmt.Errorf("%s ended (%s); the end of its log:\n%s", name, command.ProcessState, tail(name+".log", 20))
	})
	return os.WriteFile(name+".pid", []byte(strconv.Itoa(command.Process.Pid)+"\n"), 0o644)
}

// kill ends all and waits for them. Nothing is worth a graceful stop: their data is about to be removed.
func (c *children) kill() {
	for _, command := range c.running {
		command.Process.Kill() // fails only for one that has ended
	}
	c.waiting.Wait()
}

// program is the component out of KUBEBUILDER_ASSETS where that has it (controller-runtime's convention for a folder
// with `etcd` and `kube-apiserver`), else out of this very executable. /proc/self/exe still works when a newer build
// has replaced the file meanwhile.
func (c *children) program(name string) *exec.Cmd {
	if path := filepath.Join(c.assets, name); c.assets != "" {
		if _, err := os.Stat(path); err == nil {
			return exec.Command(path)
		}
	}
	return exec.Command("/proc/self/exe", name)
}

// tail is the last lines of a file, for an error message.
func tail(path string, lines int) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
