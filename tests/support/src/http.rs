//! HTTP/1.1 as the stand-ins need it: one request read, one answer written.
//!
//! Knows nothing of what is asked. Lenient on purpose: it is the client that is tested.

use std::io::{self, BufRead, Read, Write};

/// The largest body that is read: no test sends more.
const BODY_LIMIT: usize = 4 << 20;

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    /// The path with its query, as it stood in the request line.
    pub uri: String,
    /// The path alone, percent-decoded.
    pub path: String,
    /// The query's pairs, percent-decoded, in their order.
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    /// Reads the next request; `None` when the client closed the connection before one began.
    pub fn read(from: &mut impl BufRead) -> io::Result<Option<Request>> {
        let mut line = String::new();
        if from.take(16 << 10).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace();
        let (method, uri) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
        let (path, query) = uri.split_once('?').unwrap_or((&uri, ""));
        let mut request =
            Request { method, path: decode(path), query: pairs(query), uri: uri.clone(), ..Request::default() };
        request.read_headers(from)?;
        request.read_body(from)?;
        Ok(Some(request))
    }

    /// A header's value; names are matched without regard to case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value that the query gives for `name`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    fn read_headers(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let mut line = String::new();
            from.take(64 << 10).read_line(&mut line)?;
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(());
            }
            if let Some((name, value)) = line.split_once(':') {
                self.headers.push((name.to_owned(), value.trim().to_owned()));
            }
        }
    }

    fn read_body(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        if self.header("transfer-encoding").is_some_and(|v| v.eq_ignore_ascii_case("chunked")) {
            return self.read_chunks(from);
        }
        let length = self.header("content-length").and_then(|v| v.parse().ok()).unwrap_or(0);
        self.read_exactly(from, length)
    }

    fn read_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
            self.read_exactly(from, length)?;
            from.read_line(&mut line)?;
            if length == 0 {
                return Ok(());
            }
        }
    }

    fn read_exactly(&mut self, from: &mut impl BufRead, length: usize) -> io::Result<()> {
        if self.body.len() + length > BODY_LIMIT {
            return Err(io::Error::other("a body too large for a test"));
        }
        let start = self.body.len();
        self.body.resize(start + length, 0);
        from.read_exact(&mut self.body[start..])
    }
}

/// Writes a whole answer with its length.
pub fn respond(to: &mut impl Write, status: u16, headers: &[(&str, &str)], body: &[u8]) -> io::Result<()> {
    let mut head = head(status, headers);
    head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut all = head.into_bytes();
    all.extend_from_slice(body);
    to.write_all(&all)?;
    to.flush()
}

/// Begins an answer whose body comes in chunks, for as long as it lasts.
pub fn begin_chunked(to: &mut impl Write, status: u16, headers: &[(&str, &str)]) -> io::Result<()> {
    let head = head(status, headers);
    write!(to, "{head}Transfer-Encoding: chunked\r\n\r\n")?;
    to.flush()
}

/// One chunk of a chunked body; an empty one ends it.
pub fn chunk(to: &mut impl Write, data: &[u8]) -> io::Result<()> {
    let mut all = format!("{:x}\r\n", data.len()).into_bytes();
    all.extend_from_slice(data);
    all.extend_from_slice(b"\r\n");
    to.write_all(&all)?;
    to.flush()
}

fn head(status: u16, headers: &[(&str, &str)]) -> String {
    let mut head = format!("HTTP/1.1 {status} {}\r\n", reason(status));
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        409 => "Conflict",
        410 => "Gone",
        422 => "Unprocessable Entity",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Whatever",
    }
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| part.split_once('=').unwrap_or((part, ""))).map(|(n, v)| (decode(n), decode(v))).collect()
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        match (byte, hex.and_then(|h| u8::from_str_radix(h, 16).ok())) {
            (b'%', Some(value)) => {
                decoded.push(value);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            _ => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Percent-encodes what may not stand in a query's value.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_with_its_query_headers_and_body() {
        let wire =
            b"POST /a%20b?x=1%2C2&watch HTTP/1.1\r\nHost: h\r\ncontent-LENGTH: 3\r\n\r\nabcGET / HTTP/1.1\r\n\r\n";
        let mut from = &wire[..];
        let first = Request::read(&mut from).unwrap().unwrap();
        assert_eq!((first.method.as_str(), first.path.as_str(), first.body.as_slice()), ("POST", "/a b", &b"abc"[..]));
        assert_eq!((first.parameter("x"), first.parameter("watch")), (Some("1,2"), Some("")));
        assert_eq!(Request::read(&mut from).unwrap().unwrap().method, "GET");
        assert!(Request::read(&mut from).unwrap().is_none());
    }

    #[test]
    fn a_chunked_body_is_put_together() {
        let wire = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(Request::read(&mut &wire[..]).unwrap().unwrap().body, b"abcde");
    }
}
