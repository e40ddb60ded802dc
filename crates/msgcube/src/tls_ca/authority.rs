//! A private certificate authority and the certificates it signs. Values in, PEM out: no clock and no file.
//!
//! It has a root, which clients trust, and an issuer below it. Name constraints limit both to the hosts. Some clients,
//! such as Java's, ignore the constraints of a root. So the root's key signs the issuer once and is then discarded.

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

use super::{error::TlsCaError, host::CertificateHost};

/// Validity of the authority in years.
const AUTHORITY_YEARS: i16 = 10;

const ISSUER: &str = "msgcube issuer";

/// A certificate and the day on which it expires.
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub pem: String,
    pub until: Date,
}

impl Certificate {
    fn of(made: &rcgen::Certificate, until: Date) -> Certificate {
        Certificate { pem: made.pem(), der: made.der().clone(), until }
    }

    /// The first certificate of a PEM text.
    fn read(text: &str) -> Option<Certificate> {
        let der = CertificateDer::from_pem_slice(text.as_bytes()).ok()?;
        let begin = text.find("-----BEGIN CERTIFICATE-----")?;
        let until = date(tls::end_s(&der)?).ok()?;
        Some(Certificate { der, pem: text[begin..].to_owned(), until })
    }
}

/// The root that clients trust, and the issuer that signs.
pub struct Authority {
    /// The issuer's key.
    pub key: KeyPair,
    pub issuer: Certificate,
    pub root: Certificate,
}

impl Authority {
    /// Makes an authority that can sign for these hosts only.
    pub fn make(key: KeyPair, hosts: &[CertificateHost], now_s: i64) -> Result<Authority, TlsCaError> {
        let until = date(now_s)?.saturating_add(AUTHORITY_YEARS.years());
        let root_key = KeyPair::generate()?;
        let mut root = ca_params("msgcube root", &root_key);
        constrain(&mut root, 1, hosts);
        set_times(&mut root, now_s, until)?;
        let mut issuer = ca_params(ISSUER, &key);
        constrain(&mut issuer, 0, hosts);
        issuer.use_authority_key_identifier_extension = true;
        set_times(&mut issuer, now_s, until)?;
        let made = Certificate::of(&root.self_signed(&root_key)?, until);
        let issuer = Certificate::of(&issuer.signed_by(&key, &Issuer::new(root, root_key))?, until);
        Ok(Authority { key, issuer, root: made })
    }

    /// Loads an authority that `make` made earlier. None: key and issuer do not match, or a certificate cannot be read.
    pub fn load(key: KeyPair, issuer_pem: &str, root_pem: &str) -> Option<Authority> {
        let (issuer, root) = (Certificate::read(issuer_pem)?, Certificate::read(root_pem)?);
        let of_the_key = *EndEntityCert::try_from(&issuer.der).ok()?.subject_public_key_info()
            == *key.subject_public_key_info();
        of_the_key.then_some(Authority { key, issuer, root })
    }

    /// The day on which the first of its certificates expires.
    pub fn until(&self) -> Date {
        self.issuer.until.min(self.root.until)
    }

    /// Issues a server certificate.
    pub fn issue(
        &self,
        key: &KeyPair,
        hosts: &[CertificateHost],
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
        let made = params.signed_by(key, &Issuer::new(ca_params(ISSUER, &self.key), &self.key))?;
        Ok(Certificate::of(&made, until))
    }

    /// Verifies a server certificate as a client that trusts this authority.
    pub fn check(
        &self,
        server: &Certificate,
        hosts: &[CertificateHost],
        now_s: i64,
    ) -> Result<(), webpki::Error> {
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

    /// The hosts that the name constraints of this authority do not allow.
    pub fn disallowed_hosts(
        &self,
        key: &KeyPair,
        hosts: &[CertificateHost],
        now_s: i64,
    ) -> Result<Vec<CertificateHost>, TlsCaError> {
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

/// The day in UTC of a time in Unix seconds.
pub fn date(now_s: i64) -> Result<Date, TlsCaError> {
    let moment = Timestamp::from_second(now_s).map_err(|_| TlsCaError::Clock)?;
    Ok(moment.to_zoned(TimeZone::UTC).date())
}

/// Parameters with a name derived from the key, so that signing needs no parsing of the issuer's certificate.
fn ca_params(what: &str, key: &KeyPair) -> CertificateParams {
    let digest = Sha256::digest(key.subject_public_key_info());
    let number = digest.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, format!("{what} {number:08x}"));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// Allows signing for servers of these hosts, and `below` levels of further authorities.
fn constrain(params: &mut CertificateParams, below: u8, hosts: &[CertificateHost]) {
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.name_constraints = Some(name_constraints(hosts));
}

/// Valid from the day before, for clocks that are slow, to the beginning of `until`.
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

/// Random, so that a renewed certificate of the same key has another number.
fn serial_number() -> Result<SerialNumber, TlsCaError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    // A positive number of exactly 16 bytes.
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from_slice(&bytes))
}

fn alternative_name(host: &CertificateHost) -> Result<SanType, rcgen::Error> {
    Ok(match host {
        CertificateHost::Name(name) => SanType::DnsName(name.as_ref().try_into()?),
        CertificateHost::Address(address) => SanType::IpAddress(*address),
    })
}

/// A constraint limits only names of its own kind, so a kind without a host is excluded as a whole.
fn name_constraints(hosts: &[CertificateHost]) -> NameConstraints {
    let permitted = hosts.iter().map(|host| match host {
        CertificateHost::Name(name) => GeneralSubtree::DnsName(name.as_ref().to_owned()),
        CertificateHost::Address(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(*address, bits))
        }
    });
    let mut excluded = Vec::new();
    if !hosts.iter().any(|host| matches!(host, CertificateHost::Name(_))) {
        excluded.push(GeneralSubtree::DnsName(String::new()));
    }
    if !hosts.iter().any(|host| matches!(host, CertificateHost::Address(_))) {
        let any = |address: IpAddr| GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, 0));
        excluded.extend([any([0; 4].into()), any([0; 16].into())]);
    }
    NameConstraints { permitted_subtrees: permitted.collect(), excluded_subtrees: excluded }
}

#[cfg(test)]
mod tests;
