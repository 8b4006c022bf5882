//! What a value must be, one function a sort of value. Each error is a clause that follows "… is VALUE; ".

use std::path::PathBuf;
use std::time::Duration;

use super::duration::{duration_text, parse_duration};
use super::nearest::nearest;
use super::selector::{is_label_key, is_label_value, is_subdomain};
use super::settings::{Header, Selector};
use super::value::{Value, cut, quoted};
use crate::objects::Taint;
use crate::secret::Secret;

pub type Accepted<T> = Result<T, String>;

pub fn text(value: &Value) -> Accepted<&str> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("it must be text in quotes".to_owned()),
    }
}

pub fn switch(value: &Value) -> Accepted<bool> {
    match value {
        Value::Bool(is) => Ok(*is),
        _ => Err("it must be true or false".to_owned()),
    }
}

/// A time from `least` to `most`.
pub fn time(value: &Value, least: Duration, most: Duration) -> Accepted<Duration> {
    let Value::Text(written) = value else {
        return Err(r#"it must be a time in quotes, such as "30s""#.to_owned());
    };
    let time = parse_duration(written).map_err(|e| e.to_string())?;
    if time < least || time > most {
        return Err(format!("it must be from {} to {}", duration_text(least), duration_text(most)));
    }
    Ok(time)
}

/// One of the words.
pub fn word<T: Copy>(value: &Value, known: &[(&'static str, T)]) -> Accepted<T> {
    let written = text(value)?;
    if let Some((_, meaning)) = known.iter().find(|(word, _)| *word == written) {
        return Ok(*meaning);
    }
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let listed = match words.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("it must be {} or {last}", rest.join(", ")),
        _ => format!("it must be {}", words.concat()),
    };
    Err(match nearest(written, words) {
        Some(meant) => format!("{listed}; did you mean {meant:?}?"),
        None => listed,
    })
}

/// Nothing where the text is empty, else what `accept` makes of it.
pub fn optional<T>(value: &Value, accept: impl FnOnce(&Value) -> Accepted<T>) -> Accepted<Option<T>> {
    match value {
        Value::Text(text) if text.trim().is_empty() => Ok(None),
        value => accept(value).map(Some),
    }
}

/// A path that does not depend on the folder in which spot-guard was started.
pub fn absolute_path(value: &Value) -> Accepted<PathBuf> {
    let path = PathBuf::from(text(value)?);
    if path.is_absolute() { Ok(path) } else { Err("it must be a path that begins with /".to_owned()) }
}

/// A file for node_exporter's textfile collector, which reads those that end in `.prom` and no others.
pub fn textfile(value: &Value) -> Accepted<PathBuf> {
    let path = absolute_path(value)?;
    if path.extension().is_some_and(|end| end == "prom") {
        Ok(path)
    } else {
        Err("it must end in .prom: node_exporter reads no others".to_owned())
    }
}

/// A Node's name. It becomes part of URLs, so nothing else may be in it.
pub fn node_name(value: &Value) -> Accepted<String> {
    let name = text(value)?;
    if is_subdomain(name) {
        Ok(name.to_owned())
    } else {
        Err("it must be a node's name: small letters, digits, hyphens and dots".to_owned())
    }
}

/// The metadata service: `http://HOST[:PORT]`; a slash at the end is dropped.
pub fn endpoint(value: &Value) -> Accepted<String> {
    let written = text(value)?.trim();
    let url = written.strip_suffix('/').unwrap_or(written);
    match url.strip_prefix("http://") {
        Some(authority) if is_authority(authority) => Ok(url.to_owned()),
        _ => Err("it must be http://HOST or http://HOST:PORT".to_owned()),
    }
}

/// A proxy, which is spoken to without TLS: `http://`, a name and password before the host if it wants them.
pub fn proxy(value: &Value) -> Accepted<String> {
    let written = text(value)?.trim();
    let url = written.strip_suffix('/').unwrap_or(written);
    let authority = url.strip_prefix("http://").map(|rest| rest.rsplit_once('@').map_or(rest, |(_, host)| host));
    match authority {
        Some(authority) if is_authority(authority) && url.chars().all(|c| c.is_ascii_graphic()) => Ok(url.to_owned()),
        _ => Err("it must be http://HOST:PORT, with USER:PASSWORD@ before the host if need be".to_owned()),
    }
}

/// Where a webhook goes.
pub fn address(value: &Value) -> Accepted<Secret> {
    let written = text(value)?.trim();
    if is_address(written) {
        Ok(Secret::new(written.to_owned()))
    } else {
        Err("it must be https://HOST/PATH or http://HOST/PATH; a name and password go into a header".to_owned())
    }
}

/// Whether this is a URL that a webhook can be sent to.
pub fn is_address(url: &str) -> bool {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let authority = rest.and_then(|rest| rest.split(['/', '?']).next());
    authority.is_some_and(is_authority) && url.chars().all(|c| c.is_ascii_graphic() && c != '#')
}

/// A webhook's header; `None` where the text is empty.
pub fn header(name: &str, value: &Value) -> Accepted<Option<Header>> {
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    if name.is_empty() || !name.chars().all(is_token) {
        return Err("the name of a header has letters, digits and hyphens".to_owned());
    }
    // What says where the body ends, and to whom it goes.
    if ["host", "content-length", "transfer-encoding", "connection"].contains(&name.to_lowercase().as_str()) {
        return Err("spot-guard sets this header by itself".to_owned());
    }
    match value {
        Value::File(path) => absolute_path(&Value::Text(path.clone().into())).map(|path| Some(Header::StandsIn(path))),
        Value::Text(text) if text.is_empty() => Ok(None),
        Value::Text(text) if is_header_value(text) => Ok(Some(Header::Is(Secret::new(text.to_string())))),
        _ => Err(r#"it must be text on one line in quotes, or { file = "/PATH" }"#.to_owned()),
    }
}

/// Whether this can stand behind a header's name.
pub fn is_header_value(text: &str) -> bool {
    text.chars().all(|c| c == ' ' || c.is_ascii_graphic())
}

/// `HOST`, `HOST:PORT`, `[IPV6]` or `[IPV6]:PORT`.
fn is_authority(authority: &str) -> bool {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+');
    if let Some((address, rest)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        let port_fits = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        return port_fits && address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let (host, port_fits) = match authority.split_once(':') {
        Some((host, port)) => (host, is_port(port)),
        None => (authority, true),
    };
    port_fits && is_subdomain(&host.to_lowercase())
}

/// Taints such as `key=value:NoSchedule` or `key:NoExecute`. As the API server has it, a key has each effect once.
pub fn taints(value: &Value) -> Accepted<Vec<Taint>> {
    let Value::List(written) = value else {
        return Err(r#"it must be a list such as ["key=value:NoSchedule"]"#.to_owned());
    };
    let mut taints: Vec<Taint> = Vec::new();
    for text in written {
        let taint = taint(text)?;
        if taints.iter().any(|other| other.key == taint.key && other.effect == taint.effect) {
            return Err(format!("{} has the effect {} twice", quoted(&taint.key), taint.effect));
        }
        taints.push(taint);
    }
    Ok(taints)
}

fn taint(written: &str) -> Accepted<Taint> {
    let shown = || quoted(&cut(written));
    const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];
    let Some((rest, effect)) = written.rsplit_once(':') else {
        return Err(format!("{} needs an effect, such as \"KEY=VALUE:NoSchedule\"", shown()));
    };
    if !EFFECTS.contains(&effect) {
        let meant = nearest(effect, EFFECTS).map(|known| format!("; did you mean {known:?}?")).unwrap_or_default();
        return Err(format!("unknown effect {}{meant}", quoted(&cut(effect))));
    }
    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
    if !is_label_key(key) || !is_label_value(value) {
        return Err(format!("{} is no taint, which is KEY=VALUE:EFFECT or KEY:EFFECT", shown()));
    }
    Ok(Taint { key: key.to_owned(), value: value.to_owned(), effect: effect.to_owned() })
}

pub fn selector(value: &Value) -> Accepted<Selector> {
    Selector::parse(text(value)?).map_err(|e| format!("it must be a label selector: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Value {
        Value::Text(text.to_owned().into())
    }

    #[test]
    fn an_endpoint_is_a_host_reached_without_encryption_and_nothing_more() {
        let good = [
            ("http://169.254.169.254", "http://169.254.169.254"),
            ("http://169.254.169.254/", "http://169.254.169.254"),
            ("http://[fd00:ec2::254]", "http://[fd00:ec2::254]"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://localhost:1338", "http://localhost:1338"),
            ("http://Metadata.example.com", "http://Metadata.example.com"),
        ];
        for (text, read) in good {
            assert_eq!(endpoint(&written(text)), Ok(read.to_owned()));
        }
        let bad = [
            "",
            "169.254.169.254",
            "https://169.254.169.254",
            "http://",
            "http:///",
            "http://host/latest",
            "http://a b",
            "http://user@host",
            "http://host:",
            "http://host:0",
            "http://host:99999",
            "http://host:+1",
            "http://[::1",
            "http://[host]",
            "http://[::1]x",
            "http://host?x",
            "http://host#x",
            "http://ho\nst",
        ];
        for text in bad {
            assert!(endpoint(&written(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_textfile_is_one_that_node_exporter_reads() {
        assert_eq!(textfile(&written("/var/lib/n/a.prom")), Ok(PathBuf::from("/var/lib/n/a.prom")));
        for text in ["a.prom", "/a", "/a.txt", "/.prom", "/a.prom.new"] {
            assert!(textfile(&written(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_proxy_may_want_a_password() {
        for text in ["http://proxy:3128", "http://u:p@proxy", "http://u:p%40@10.0.0.1:80"] {
            assert_eq!(proxy(&written(text)), Ok(text.to_owned()));
        }
        for text in ["proxy:3128", "https://proxy", "socks5://proxy", "http://", "http://u:p @proxy", "http://proxy/x"]
        {
            assert!(proxy(&written(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn a_webhook_goes_to_a_host_and_a_path() {
        for good in
            ["https://hooks.example.com/T0/B0/x?y=z", "http://127.0.0.1:8080", "https://[::1]:1/", "https://a?b"]
        {
            assert_eq!(address(&written(good)).unwrap().reveal(), good);
        }
        for bad in [
            "",
            "hooks.example.com",
            "ftp://a",
            "https://",
            "https:///x",
            "https://u:p@a/",
            "https://a/b c",
            "https://a/#x",
        ] {
            assert!(address(&written(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_header_has_a_name_and_a_value_or_a_file_with_one() {
        let is = |text: &str| Ok(Some(Header::Is(Secret::new(text.to_owned()))));
        assert_eq!(header("X-Token", &written("a b")), is("a b"));
        assert_eq!(header("X-Token", &written("")), Ok(None));
        let file = |path: &str| Value::File(path.to_owned());
        assert_eq!(header("X-Token", &file("/a")), Ok(Some(Header::StandsIn(PathBuf::from("/a")))));
        for (name, value) in [
            ("X Token", written("a")),
            ("", written("a")),
            ("Host", written("a")),
            ("content-length", written("1")),
            ("X-Token", written("a\nb")),
            ("X-Token", written("ä")),
            ("X-Token", file("a")),
            ("X-Token", Value::Bool(true)),
        ] {
            assert!(header(name, &value).is_err(), "{name} {value}");
        }
    }

    #[test]
    fn taints_are_read_as_kubectl_writes_them() {
        let read = |items: &[&str]| taints(&Value::List(items.iter().map(|s| (*s).to_owned()).collect()));
        let taint = |key: &str, value: &str, effect: &str| Taint {
            key: key.to_owned(),
            value: value.to_owned(),
            effect: effect.to_owned(),
        };
        assert_eq!(read(&[]), Ok(vec![]));
        assert_eq!(
            read(&["spot=going:NoSchedule", "example.com/spot:NoExecute"]),
            Ok(vec![taint("spot", "going", "NoSchedule"), taint("example.com/spot", "", "NoExecute")])
        );
        let each_effect = ["a:NoSchedule", "a:NoExecute", "b:NoSchedule"];
        assert_eq!(read(&each_effect).map(|taints| taints.len()), Ok(3));
        let refused = [
            (&["spot=going"][..], r#""spot=going" needs an effect, such as "KEY=VALUE:NoSchedule""#),
            (&["spot:NoSchedul"], r#"unknown effect "NoSchedul"; did you mean "NoSchedule"?"#),
            (&["spot:"], r#"unknown effect """#),
            (&["a b:NoSchedule"], r#""a b:NoSchedule" is no taint, which is KEY=VALUE:EFFECT or KEY:EFFECT"#),
            (&[":NoSchedule"], r#"":NoSchedule" is no taint, which is KEY=VALUE:EFFECT or KEY:EFFECT"#),
            (&["a=1:NoSchedule", "a=2:NoSchedule"], r#""a" has the effect NoSchedule twice"#),
        ];
        for (items, error) in refused {
            assert_eq!(read(items), Err(error.to_owned()));
        }
    }

    #[test]
    fn a_word_that_is_none_of_the_known_is_refused_with_the_nearest() {
        let known = [("drain", 1), ("cordon", 2), ("off", 3)];
        assert_eq!(word(&written("cordon"), &known), Ok(2));
        assert_eq!(
            word(&written("drian"), &known),
            Err(r#"it must be drain, cordon or off; did you mean "drain"?"#.to_owned())
        );
        assert_eq!(word(&written("x"), &known), Err("it must be drain, cordon or off".to_owned()));
        assert_eq!(word(&written("x"), &known[..1]), Err("it must be drain".to_owned()));
        assert_eq!(word(&Value::Bool(true), &known), Err("it must be text in quotes".to_owned()));
    }

    #[test]
    fn a_time_outside_its_range_is_refused_with_the_range() {
        let accept = |text| time(&written(text), Duration::from_millis(200), Duration::from_secs(30));
        assert_eq!(accept("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(accept("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(accept("199ms"), Err("it must be from 200ms to 30s".to_owned()));
        assert_eq!(accept("30s1ms"), Err("it must be from 200ms to 30s".to_owned()));
    }
}
