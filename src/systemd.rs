//! Knows how a service speaks with systemd: readiness, status, watchdog, a longer stop, and whether the whole machine
//! is being stopped. Knows nothing of responses and decides nothing.

pub mod units;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::moment::Moment;
use crate::process::{self, Command, Limits, Stop, Stream};

/// How long `systemctl` may take to say what the machine is doing; it needs about 11 ms.
const STATE_PATIENCE: Duration = Duration::from_secs(1);

/// Tells systemd how the daemon is (sd_notify(3)). Says nothing where the daemon was not started by systemd.
///
/// Nothing here waits or fails: a message that systemd does not take at once is dropped, because no word to the
/// service manager is worth a pod's time.
#[derive(Debug, Default)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Notifier {
    /// The notifier for the socket that systemd named in `NOTIFY_SOCKET`.
    pub fn from_environment() -> Notifier {
        std::env::var_os("NOTIFY_SOCKET").map_or_else(Notifier::default, |socket| Notifier::to_socket(&socket))
    }

    /// `socket` is a path, or `@` and the name of an abstract socket; anything else gets no message.
    fn to_socket(socket: &OsStr) -> Notifier {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(socket),
            _ => return Notifier::default(),
        };
        let to = address.ok().and_then(|address| {
            let from = UnixDatagram::unbound().ok()?;
            from.set_nonblocking(true).ok()?;
            Some((from, address))
        });
        Notifier { to }
    }

    /// The service is up. To be said as early as possible: a unit that waits for it holds up the boot.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    /// What the daemon is doing, in words: the `Status:` line of `systemctl status`.
    pub fn status(&self, text: &str) {
        // Each line of a message is an assignment of its own.
        let mut message = String::from("STATUS=");
        message.extend(text.chars().map(|c| if c.is_control() { ' ' } else { c }));
        self.send(&message);
    }

    /// The daemon lives. Said more often than [`watchdog_interval`], or systemd restarts it.
    pub fn watchdog(&self) {
        self.send("WATCHDOG=1");
    }

    /// The daemon is on its way out.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The start or stop under way may take `time` from now on, whatever the unit's limit is; to be repeated within it.
    pub fn extend_timeout(&self, time: Duration) {
        let mut message = String::new();
        // Writing to a String does not fail.
        let _ = write!(message, "EXTEND_TIMEOUT_USEC={}", time.as_micros());
        self.send(&message);
    }

    fn send(&self, message: &str) {
        if let Some((from, address)) = &self.to {
            let _ = from.send_to_addr(message.as_bytes(), address);
        }
    }
}

/// How often [`Notifier::watchdog`] is to be called: half of what systemd waits (`WATCHDOG_USEC`, in microseconds).
///
/// `None` where systemd does not watch, or watches another process (`WATCHDOG_PID`).
pub fn watchdog_interval() -> Option<Duration> {
    interval_for(std::env::var_os("WATCHDOG_USEC"), std::env::var_os("WATCHDOG_PID"), std::process::id())
}

fn interval_for(microseconds: Option<OsString>, watched: Option<OsString>, own: u32) -> Option<Duration> {
    let number = |text: OsString| text.to_str()?.parse::<u64>().ok();
    if watched.is_some_and(|pid| number(pid) != Some(u64::from(own))) {
        return None;
    }
    number(microseconds?).filter(|limit| *limit > 0).map(|limit| Duration::from_micros(limit) / 2)
}

/// Whether systemd is stopping the whole machine (poweroff, reboot, halt, kexec), and not this service alone.
///
/// Asks `systemctl is-system-running`, which answers `stopping` from the moment the shutdown is queued (seen on 252;
/// `/run/nologin` comes too late). Takes 1 s at most; without an answer it is `false`: then a running response is
/// recorded and taken up by the next start.
pub fn system_is_stopping() -> bool {
    // Its exit code is no help: all but `running` is a failure.
    first_line_of("systemctl", &["is-system-running"]).is_some_and(|state| state == "stopping")
}

fn first_line_of(program: &str, arguments: &[&str]) -> Option<String> {
    let command = Command {
        program: program.into(),
        arguments: arguments.iter().map(OsString::from).collect(),
        environment: environment(),
        input: [].into(),
        folder: None,
    };
    let limits = Limits { ends: Moment::now() + STATE_PATIENCE, patience: Duration::ZERO, output: 1024 };
    let mut first = None;
    process::run(&command, &limits, &Stop::new(), &mut |_| (), &mut |stream, line| {
        if stream == Stream::Out {
            first.get_or_insert_with(|| line.trim().to_owned());
        }
    });
    first
}

/// All that systemd's own programs need.
fn environment() -> Vec<(OsString, OsString)> {
    vec![("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into())]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn receiver(address: &SocketAddr) -> UnixDatagram {
        let socket = UnixDatagram::bind_addr(address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn systemd_hears_each_message_at_a_path() {
        let path = std::env::temp_dir().join(format!("spot-guard-notify-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let systemd = receiver(&SocketAddr::from_pathname(&path).unwrap());
        let notifier = Notifier::to_socket(path.as_os_str());
        let say: [(&dyn Fn(), &str); 5] = [
            (&|| notifier.ready(), "READY=1"),
            (&|| notifier.status("draining, 41 s left"), "STATUS=draining, 41 s left"),
            (&|| notifier.watchdog(), "WATCHDOG=1"),
            (&|| notifier.stopping(), "STOPPING=1"),
            (&|| notifier.extend_timeout(Duration::from_millis(2500)), "EXTEND_TIMEOUT_USEC=2500000"),
        ];
        for (speak, heard) in say {
            speak();
            assert_eq!(next(&systemd), heard);
        }
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn systemd_hears_at_an_abstract_socket() {
        let name = format!("spot-guard/notify/{}", std::process::id());
        let systemd = receiver(&SocketAddr::from_abstract_name(&name).unwrap());
        Notifier::to_socket(OsStr::new(&format!("@{name}"))).ready();
        assert_eq!(next(&systemd), "READY=1");
    }

    #[test]
    fn a_status_cannot_smuggle_in_another_message() {
        let name = format!("spot-guard/status/{}", std::process::id());
        let systemd = receiver(&SocketAddr::from_abstract_name(&name).unwrap());
        Notifier::to_socket(OsStr::new(&format!("@{name}"))).status("fine\nWATCHDOG=trigger\r");
        assert_eq!(next(&systemd), "STATUS=fine WATCHDOG=trigger ");
    }

    #[test]
    fn a_systemd_that_does_not_listen_holds_nobody_up() {
        let name = format!("spot-guard/deaf/{}", std::process::id());
        let _deaf = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let notifier = Notifier::to_socket(OsStr::new(&format!("@{name}")));
        // Far more than any socket's queue holds (net.unix.max_dgram_qlen): a call that waited would never come back.
        for _ in 0..10_000 {
            notifier.watchdog();
        }
        for nowhere in ["", "@", "/nonexistent/socket", "vsock:2:1", "relative"] {
            Notifier::to_socket(OsStr::new(nowhere)).ready();
        }
    }

    #[test]
    fn what_a_program_says_first_is_taken_within_a_second_whatever_it_exits_with() {
        let table = [
            ("echo oops >&2; echo ' stopping'; echo more; exit 1", Some("stopping")),
            ("exit 1", None),
            ("sleep 60", None),
        ];
        for (script, first) in table {
            let asked = Moment::now();
            assert_eq!(first_line_of("sh", &["-c", script]).as_deref(), first, "{script}");
            assert!(Moment::now().since(asked) < Duration::from_secs(5), "{script}");
        }
        assert_eq!(first_line_of("/nonexistent", &[]), None);
    }

    #[test]
    fn the_watchdog_is_fed_twice_as_often_as_systemd_asks_and_only_for_this_process() {
        let table: [(Option<&str>, Option<&str>, Option<u64>); 7] = [
            (Some("10000000"), None, Some(5000)),
            (Some("10000000"), Some("7"), Some(5000)),
            (Some("10000000"), Some("8"), None),
            (Some("10000000"), Some("x"), None),
            (Some("0"), None, None),
            (Some("ten"), None, None),
            (None, None, None),
        ];
        for (microseconds, pid, interval) in table {
            assert_eq!(
                interval_for(microseconds.map(OsString::from), pid.map(OsString::from), 7),
                interval.map(Duration::from_millis),
                "WATCHDOG_USEC={microseconds:?} WATCHDOG_PID={pid:?}"
            );
        }
    }
}
