//! The output of `msgcube tls ca`: what each file is for, and the next steps.

use std::{fmt::Write as _, path::PathBuf};

use i18n::{Lang, text};

use super::{IssuedFiles, host, host::CertificateHost};

/// One JSON object.
pub fn json(made: &IssuedFiles) -> String {
    let hosts: Vec<String> = made.hosts.iter().map(CertificateHost::to_string).collect();
    let object = serde_json::json!({
        "renewed": made.renewed,
        "hosts": hosts,
        "ca": made.folder.ca(),
        "ca_key": made.folder.ca_key(),
        "ca_until": made.authority_until.to_string(),
        "cert": made.folder.server(),
        "key": made.folder.server_key(),
        "until": made.server.until.to_string(),
    });
    format!("{object}\n")
}

/// The text for the screen.
pub fn text(made: &IssuedFiles, lang: Lang) -> String {
    files(made, lang) + &steps(made, lang)
}

fn files(made: &IssuedFiles, lang: Lang) -> String {
    let (hosts, until, ca_until) = (host::join(&made.hosts), made.server.until, made.authority_until);
    let head = if made.renewed {
        text!("A new certificate from the existing authority, for ").in_lang(lang)
    } else {
        text!("A new authority and a certificate for ").in_lang(lang)
    };
    let lines = [
        text!("for the clients: they trust it, until {ca_until}; it signs for these hosts only", ca_until),
        text!("signs certificates: keep it offline; it is needed only for the next renewal"),
        text!("the server's certificate with its chain, until {until}", until),
        text!("the server's key: for msgcube alone"),
    ]
    .map(|text| text.in_lang(lang));
    let folder = &made.folder;
    let paths = [folder.ca(), folder.ca_key(), folder.server(), folder.server_key()];
    let mut text = format!("{head}{hosts}\n\n");
    for (path, line) in paths.iter().zip(lines) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}\n    {line}", path.display());
    }
    text
}

fn steps(made: &IssuedFiles, lang: Lang) -> String {
    let titles = [
        text!("1. Let msgcube serve HTTPS with it, in msgcube.toml:"),
        text!("2. Let the machines with the SDKs trust ca.pem; one of:"),
        text!("3. On these machines only, point the name to msgcube, in /etc/hosts or your own DNS:"),
        text!(
            "4. Renew in time with the same command; clients need nothing new then. msgcube reads it within seconds."
        ),
    ]
    .map(|text| text.in_lang(lang));
    let bodies = [config(made), trust(made), names(made, lang), String::new()];
    let step = |(title, body): (String, String)| format!("\n{title}\n{body}");
    titles.into_iter().zip(bodies).map(step).collect::<Vec<_>>().concat()
}

fn config(made: &IssuedFiles) -> String {
    let (cert, key) = (made.folder.server(), made.folder.server_key());
    let setting = |name: &str, path: PathBuf| format!("{name} = \"{}\"", path.display());
    let listen = "listen = \"0.0.0.0:443\"".to_owned();
    indented([listen, "[tls]".to_owned(), setting("cert", cert), setting("key", key)])
}

/// Commands for common systems and for programs with their own list of authorities. Where a setting replaces the whole
/// list, the command names the system's list.
fn trust(made: &IssuedFiles) -> String {
    let ca = made.folder.ca();
    let ca = ca.display();
    let debian = "/usr/local/share/ca-certificates/msgcube.crt";
    let bundle = "/etc/ssl/certs/ca-certificates.crt";
    let fedora = "/etc/pki/ca-trust/source/anchors/msgcube.pem";
    indented([
        format!("Debian, Ubuntu, Alpine: cp {ca} {debian} && update-ca-certificates"),
        format!("RHEL, Fedora: cp {ca} {fedora} && update-ca-trust"),
        format!("macOS: security add-trusted-cert -d -k /Library/Keychains/System.keychain {ca}"),
        "Windows: certutil -addstore Root ca.pem".to_owned(),
        format!("Java: keytool -importcert -cacerts -noprompt -alias msgcube -file {ca}"),
        format!("Node: NODE_EXTRA_CA_CERTS={ca}"),
        format!("Python (requests): REQUESTS_CA_BUNDLE={bundle}"),
        format!("PHP (php.ini): curl.cainfo = {bundle}"),
    ])
}

fn names(made: &IssuedFiles, lang: Lang) -> String {
    let address = text!("ADDRESS_OF_MSGCUBE").in_lang(lang);
    let note = text!("The machine of msgcube itself must still find the real host if [upstream] is used.")
        .in_lang(lang);
    let names = made.hosts.iter().filter(|host| matches!(host, CertificateHost::Name(_)));
    let lines = names.map(|host| format!("{address} {host}"));
    indented(lines.chain([note]))
}

fn indented(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().fold(String::new(), |text, line| text + "    " + &line + "\n")
}
