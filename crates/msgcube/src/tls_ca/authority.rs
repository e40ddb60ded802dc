//! An authority of one's own and the certificates it signs. Values in, PEM out: no clock and no file.
//!
//! It is a root that clients trust and an issuer below it, both bound to the hosts by name constraints. Some clients,
//! Java's among them, look at no constraints of a root; so the root's key signs the issuer and is thrown away.

use std::{net::IpAddr, time::Duration};

use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, NameConstraints, PublicKeyData as _, SanType, SerialNumber,
};
use rustls_pki_types::{CertificateDer, UnixTime, pem::PemObject as _};
use server::net::tls;
use sha2::{Digest as _, Sha256};
use webpki::{EndEntityCert, KeyUsage};

use super::{error::TlsCaError, host::Host};

/// How long the authority holds.
const AUTHORITY_YEARS: i16 = 10;

const ISSUER: &str = "msgcube issuer";

/// A certificate and its end.
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub until: Date,
}

impl Certificate {
    fn of(made: &rcgen::Certificate, until: Date) -> Certificate {
        Certificate { pem: made.pem(), der: made.der().clone(), until }
    }

    /// The first one of a text.
    fn read(text: &str) -> Option<Certificate> {
        let der = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        let begin = text.find("-----BEGIN CERTIFICATE-----")?;
        let until = date(tls::end_s(&der)?).ok()?;
        Some(Certificate { der, pem: text[begin..].to_owned(), until })
    }
}

/// What clients trust, and what signs in its name.
pub struct Authority {
    /// The issuer's.
    pub key: KeyPair,
    pub issuer: Certificate,
    pub root: Certificate,
}

impl Authority {
    /// A new one that can vouch for these hosts and nothing else.
    pub fn make(key: KeyPair, hosts: &[Host], now_s: i64) -> Result<Authority, TlsCaError> {
        let until = date(now_s)?.saturating_add(AUTHORITY_YEARS.years());
        let root_key = KeyPair::generate()?;
        let mut root = named("msgcube root", &root_key);
        constrain(&mut root, 1, hosts);
        set_times(&mut root, now_s, until)?;
        let mut issuer = named(ISSUER, &key);
        constrain(&mut issuer, 0, hosts);
        issuer.use_authority_key_identifier_extension = true;
        set_times(&mut issuer, now_s, until)?;
        let made = Certificate::of(&root.self_signed(&root_key)?, until);
        let issuer = Certificate::of(&issuer.signed_by(&key, &Issuer::new(root, root_key))?, until);
        Ok(Authority { key, issuer, root: made })
    }

    /// One that `make` made earlier. None: key and issuer do not belong together, or one of them is no certificate.
    pub fn again(key: KeyPair, issuer_pem: &str, root_pem: &str) -> Option<Authority> {
        let (issuer, root) = (Certificate::read(issuer_pem)?, Certificate::read(root_pem)?);
        let of_the_key = *EndEntityCert::try_from(&issuer.der).ok()?.subject_public_key_info()
            == *key.subject_public_key_info();
        of_the_key.then_some(Authority { key, issuer, root })
    }

    /// The day on which the first of the two ends.
    pub fn until(&self) -> Date {
        self.issuer.until.min(self.root.until)
    }

    /// A server's certificate.
    pub fn issue(
        &self,
        key: &KeyPair,
        hosts: &[Host],
        now_s: i64,
        until: Date,
    ) -> Result<Certificate, TlsCaError> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "msgcube server");
        params.subject_alt_names = hosts.iter().map(alternative_name).collect::<Result<_, _>>()?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        set_times(&mut params, now_s, until)?;
        let made = params.signed_by(key, &Issuer::new(named(ISSUER, &self.key), &self.key))?;
        Ok(Certificate::of(&made, until))
    }

    /// What a client that trusts this authority says to a server's certificate.
    pub fn check(&self, server: &Certificate, hosts: &[Host], now_s: i64) -> Result<(), webpki::Error> {
        let anchor = webpki::anchor_from_trusted_cert(&self.root.der)?;
        let certificate = EndEntityCert::try_from(&server.der)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now_s).unwrap_or(0)));
        let usage = KeyUsage::server_auth();
        let chain = [self.issuer.der.clone()];
        certificate.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &[anchor],
            &chain,
            now,
            usage,
            None,
            None,
        )?;
        hosts.iter().try_for_each(|host| certificate.verify_is_valid_for_subject_name(&host.server_name()))
    }

    /// Hosts outside the constraints that the authority was made with.
    pub fn refused(&self, key: &KeyPair, hosts: &[Host], now_s: i64) -> Result<Vec<Host>, TlsCaError> {
        let mut refused = Vec::new();
        for host in hosts {
            let alone = std::slice::from_ref(host);
            let trial = self.issue(key, alone, now_s, self.until())?;
            if self.check(&trial, alone, now_s) == Err(webpki::Error::NameConstraintViolation) {
                refused.push(host.clone());
            }
        }
        Ok(refused)
    }
}

/// The day in UTC.
pub fn date(now_s: i64) -> Result<Date, TlsCaError> {
    let moment = Timestamp::from_second(now_s).map_err(|_| TlsCaError::Clock)?;
    Ok(moment.to_zoned(TimeZone::UTC).date())
}

/// A name that follows from the key, so that the issuer needs no reading of its certificate.
fn named(what: &str, key: &KeyPair) -> CertificateParams {
    let digest = Sha256::digest(key.subject_public_key_info());
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{what} {number:08x}"));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Lets it sign for servers of these hosts, and `below` further authorities.
fn constrain(params: &mut CertificateParams, below: u8, hosts: &[Host]) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(only(hosts));
}

/// From the day before, for clocks that are behind, to the beginning of `until`.
fn set_times(params: &mut CertificateParams, now_s: i64, until: Date) -> Result<(), TlsCaError> {
    let day = |date: Date| {
        let part = |number: i8| u8::try_from(number).unwrap_or(1);
        rcgen::date_time_ymd(date.year().into(), part(date.month()), part(date.day()))
    };
    params.not_before = day(date(now_s)?.saturating_sub(1.day()));
    params.not_after = day(until);
    params.serial_number = Some(serial_number()?);
    Ok(())
}

/// Random: a renewed certificate of the same key is another one.
fn serial_number() -> Result<SerialNumber, TlsCaError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    // positive, and as long as it looks
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn alternative_name(host: &Host) -> Result<SanType, rcgen::Error> {
    Ok(match host {
        Host::Name(name) => SanType::DnsName(name.as_ref().try_into()?),
        Host::Address(address) => SanType::IpAddress(*address),
    })
}

/// A constraint binds names of its own kind only: a kind without any host is excluded as a whole.
fn only(hosts: &[Host]) -> NameConstraints {
    let permitted = hosts.iter().map(|host| match host {
        Host::Name(name) => GeneralSubtree::DnsName(name.as_ref().to_owned()),
        Host::Address(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, bits))
        }
    });
    let mut excluded = Vec::new();
    if !hosts.iter().any(|host| matches!(host, Host::Name(_))) {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    if !hosts.iter().any(|host| matches!(host, Host::Address(_))) {
        let any = |address: IpAddr| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 0));
        excluded.extend([any([0; 4].into()), any([0; 16].into())]);
    }
    NameConstraints { permitted_subtrees: permitted.collect(), excluded_subtrees: excluded }
}

#[cfg(test)]
mod tests;
