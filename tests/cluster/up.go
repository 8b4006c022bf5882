package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the start may take. It takes 5 s on an idle machine.
const patience = 2 * time.Minute

// up runs a control plane in the foreground until SIGTERM, SIGINT or the end of its parent, then removes all it made.
// DIR/server, with the URL of the API server, is written last: where it stands, the cluster is ready.
func up(arguments []string) (err error) {
	flags := flag.NewFlagSet("cluster up", flag.ExitOnError)
	dir := flags.String("dir", "", "folder for all that the cluster leaves; new or empty, removed at the end")
	port := flags.Int("port", 0, "port of the API server on 127.0.0.1 (default: any free one)")
	controllers := flags.String("controllers", defaultControllers, "what the controller manager runs")
	flags.Parse(arguments)
	if *dir == "" || flags.NArg() > 0 {
		return errors.New("needs --dir DIR, and takes nothing but flags")
	}
	runtime.LockOSThread() // children.start says why

	end, err := untilTheEnd()
	if err != nil {
		return err
	}
	components, err := newChildren()
	if err != nil {
		return err
	}
	leave, err := enter(*dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, leave()) }()

	if *port == 0 {
		*port = freePort()
	}
	server := "https://127.0.0.1:" + strconv.Itoa(*port)
	ca, admin, err := writeFiles(server)
	if err != nil {
		return err
	}
	defer components.kill()
	if err := startControlPlane(components, *port, *controllers); err != nil {
		return err
	}

	started, cancel := context.WithTimeoutCause(end, patience, fmt.Errorf("not ready after %s", patience))
	defer cancel()
	ready := make(chan error, 1)
	go func() { ready <- waitUntilReady(started, server, ca, admin) }()
	for {
		select {
		case err := <-ready:
			if end.Err() != nil {
				return nil
			}
			if err == nil {
				err = announce(server)
			}
			if err != nil {
				return err
			}
		case err := <-components.ended:
			return err
		case <-end.Done():
			return nil
		}
	}
}

// untilTheEnd is done when this process is told to end, or when its parent has ended.
//
// PR_SET_PDEATHSIG would be shorter, but it speaks of the parent's thread, and a test's thread ends long before the
// program that runs the tests.
func untilTheEnd() (context.Context, error) {
	end, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	parent, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return nil, fmt.Errorf("cannot watch the parent process: %w", err)
	}
	go func() {
		for {
			// A pidfd becomes readable when the process has ended. EINTR comes from Go's own signals.
			if _, err := unix.Poll([]unix.PollFd{{Fd: int32(parent), Events: unix.POLLIN}}, -1); err != unix.EINTR {
				cancel()
				return
			}
		}
	}()
	return end, nil
}

// enter makes `dir` the current directory. What it gives back removes it with all that is in it.
func enter(dir string) (leave func() error, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if found, err := os.ReadDir(dir); err != nil {
		return nil, err
	} else if len(found) > 0 {
		return nil, fmt.Errorf("%s is not empty, and would be removed at the end", dir)
	}
	leave = func() error {
		return errors.Join(os.Chdir("/"), os.RemoveAll(dir))
	}
	return leave, os.Chdir(dir)
}

// freePort finds a port that nobody listens on, below the range (from 32768) from which the kernel serves those who
// ask for any port: nobody can be given it between this look and the API server's start.
func freePort() int {
	for {
		port := 20000 + rand.IntN(12000)
		listener, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			listener.Close()
			return port
		}
	}
}

// announce writes the file that says that the cluster is ready, whole from its first moment.
func announce(server string) error {
	if err := os.WriteFile("server.new", []byte(server+"\n"), 0o644); err != nil {
		return err
	}
	fmt.Println(server)
	return os.Rename("server.new", "server")
}
