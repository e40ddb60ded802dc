//! Verify tickets: a new one every ten minutes, made from the data key and the time, so that none is stored.

use datacube::ErrorCode;
use system::data_key::DataKey;

use super::signed_text::Purpose;

/// Seconds between two tickets. Source: WeChat's page on component_verify_ticket.
pub const SLOT_S: i64 = 600;
/// A ticket is valid for 12 hours. Source: WeChat's page on component_verify_ticket.
const LIFE_SLOTS: i64 = 12 * 3600 / SLOT_S;

fn purpose(component: &str) -> Purpose<'_> {
    Purpose { prefix: "ticket@@@", component }
}

/// The current ticket of a platform.
pub fn ticket(component: &str, key: &DataKey, now_s: i64) -> String {
    purpose(component).sign(&now_s.div_euclid(SLOT_S).to_be_bytes(), key)
}

/// Checks a ticket.
pub fn check(ticket: &str, component: &str, key: &DataKey, now_s: i64) -> Result<(), ErrorCode> {
    let payload = purpose(component).verify(ticket, key).and_then(|payload| payload.try_into().ok());
    let slot = i64::from_be_bytes(payload.ok_or(ErrorCode::COMPONENT_TICKET_INVALID)?);
    match now_s.div_euclid(SLOT_S).checked_sub(slot) {
        Some(0..=LIFE_SLOTS) => Ok(()),
        Some(age) if age > LIFE_SLOTS => Err(ErrorCode::COMPONENT_TICKET_EXPIRED),
        _ => Err(ErrorCode::COMPONENT_TICKET_INVALID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_twelve_hours_for_its_own_platform_only() {
        let (key, other) = (DataKey::from_bytes([1; 32]), DataKey::from_bytes([2; 32]));
        // Given out in the last second of its ten minutes.
        let now_s = 1_000_000 * SLOT_S + SLOT_S - 1;
        let ticket = ticket("wxc", &key, now_s);
        let at = |after_s: i64| check(&ticket, "wxc", &key, now_s + after_s);
        assert_eq!((at(0), at(12 * 3600)), (Ok(()), Ok(())));
        assert_eq!(at(12 * 3600 + 1), Err(ErrorCode::COMPONENT_TICKET_EXPIRED));
        assert_eq!(at(-SLOT_S), Err(ErrorCode::COMPONENT_TICKET_INVALID), "from the future");
        assert_eq!(check(&ticket, "wxd", &key, now_s), Err(ErrorCode::COMPONENT_TICKET_INVALID));
        assert_eq!(check(&ticket, "wxc", &other, now_s), Err(ErrorCode::COMPONENT_TICKET_INVALID));
        for wrong in ["", "ticket@@@", "ticket@@@AAAA", &ticket[9..], &ticket[..ticket.len() - 1]] {
            assert_eq!(check(wrong, "wxc", &key, now_s), Err(ErrorCode::COMPONENT_TICKET_INVALID), "{wrong}");
        }
    }
}
