//! Turns a step into the bytes of a request. Adds nothing that the case does not name.

use datacube::{Day, Interface};

use super::{
    case::Step,
    template::{Escaping, Placeholders, TemplateError, fill},
};

/// Length of a chunk in bytes, small enough to split any body.
const CHUNK_BYTES: usize = 7;

/// A request as it is sent.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `METHOD TARGET`
    pub line: Vec<u8>,
    pub headers: Vec<String>,
    pub body: Option<Vec<u8>>,
    pub chunked: bool,
}

impl Request {
    /// A request without headers and body.
    pub fn new(line: impl Into<Vec<u8>>) -> Request {
        Request { line: line.into(), ..Request::default() }
    }

    /// The request of a step that is not a callback.
    pub fn of(step: &Step, known: &Placeholders) -> Result<Request, TemplateError> {
        let first = match &step.ask {
            Some([name, begin, end]) => ask(name, begin, end, known)?,
            None => Request::new(fill(step.send.as_deref().unwrap_or_default(), known, Escaping::Target)?),
        };
        first.completed(step, known)
    }

    /// Adds the headers and the body of the step.
    pub fn completed(mut self, step: &Step, known: &Placeholders) -> Result<Request, TemplateError> {
        self.chunked = step.chunked;
        for header in &step.headers {
            let header = fill(header, known, Escaping::Plain)?;
            self.headers.push(String::from_utf8_lossy(&header).into_owned());
        }
        if let Some(body) = &step.body {
            self.body = Some(fill(body, known, Escaping::Json)?.repeat(step.body_times.unwrap_or(1)));
        }
        Ok(self)
    }

    /// The path with its query.
    pub fn target(&self) -> &[u8] {
        self.line.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
    }

    /// The interface and the days that it asks for. None: it asks none of the seven interfaces.
    pub fn question(&self) -> Option<(&'static Interface, Day, Day)> {
        let path = self.target().split(|byte| *byte == b'?').next()?;
        let name = std::str::from_utf8(path.strip_prefix(b"/datacube/")?).ok()?;
        let body: serde_json::Value = serde_json::from_slice(self.body.as_deref()?).ok()?;
        let day = |name: &str| body[name].as_str()?.parse().ok();
        Some((Interface::by_name(name)?, day("begin_date")?, day("end_date")?))
    }

    /// The bytes of the request, for this host and below this path.
    pub fn bytes(&self, host: &str, base_path: &str, is_last: bool) -> Vec<u8> {
        let at = self.line.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
        let (method, target) = self.line.split_at(at);
        let mut bytes = [method, base_path.as_bytes(), target, b" HTTP/1.1\r\n"].concat();
        let mut header = |line: &str| bytes.extend_from_slice(format!("{line}\r\n").as_bytes());
        header(&format!("Host: {host}"));
        self.headers.iter().for_each(|line| header(line));
        if is_last {
            header("Connection: close");
        }
        match &self.body {
            Some(_) if self.chunked => header("Transfer-Encoding: chunked"),
            Some(body) => header(&format!("Content-Length: {}", body.len())),
            None => {}
        }
        bytes.extend_from_slice(b"\r\n");
        match &self.body {
            Some(body) if self.chunked => bytes.extend(chunks(body)),
            Some(body) => bytes.extend_from_slice(body),
            None => {}
        }
        bytes
    }
}

/// A request as wechatpy sends it: blanks in the JSON, no Content-Type.
fn ask(name: &str, begin: &str, end: &str, known: &Placeholders) -> Result<Request, TemplateError> {
    let line = format!("POST /datacube/getupstreammsg{name}?access_token={{token}}");
    let body = format!(r#"{{"begin_date": "{begin}", "end_date": "{end}"}}"#);
    Ok(Request {
        line: fill(&line, known, Escaping::Target)?,
        headers: vec!["Accept-Encoding: gzip, deflate".to_owned(), "Accept: */*".to_owned()],
        body: Some(fill(&body, known, Escaping::Json)?),
        chunked: false,
    })
}

fn chunks(body: &[u8]) -> Vec<u8> {
    let one = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
    let mut all: Vec<u8> = body.chunks(CHUNK_BYTES).flat_map(one).collect();
    all.extend_from_slice(b"0\r\n\r\n");
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_below_the_base_path_and_says_what_it_asks() {
        let step: Step =
            toml::from_str(r#"ask = ["month", "{first of last month}", "{yesterday}"]"#).unwrap();
        let mut known = Placeholders::on("2016-03-02".parse().unwrap());
        known.insert("token", "T");
        let request = Request::of(&step, &known).unwrap();
        let (interface, begin, end) = request.question().unwrap();
        assert_eq!(format!("{} {begin} {end}", interface.name), "getupstreammsgmonth 2016-02-01 2016-03-01");
        let bytes = String::from_utf8(request.bytes("h:1", "/wx", true)).unwrap();
        assert!(
            bytes.starts_with(
                "POST /wx/datacube/getupstreammsgmonth?access_token=T HTTP/1.1\r\nHost: h:1\r\n"
            ),
            "{bytes}"
        );
        assert!(
            bytes.contains("Connection: close\r\nContent-Length: 54\r\n\r\n{\"begin_date\": "),
            "{bytes}"
        );
    }

    #[test]
    fn chunks_cut_a_body() {
        assert_eq!(chunks(b"12345678"), b"7\r\n1234567\r\n1\r\n8\r\n0\r\n\r\n");
        assert_eq!(chunks(b""), b"0\r\n\r\n");
    }
}
