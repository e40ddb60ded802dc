//! The permission sets that an account can grant a platform. Source: WeChat's table of permission sets of accounts.
//! The English names are ours.

use i18n::{Text, text};

/// One permission set.
#[derive(Clone, Debug)]
pub struct PermissionSet {
    /// `funcscope_category.id` on the wire.
    pub id: u32,
    /// Its name on screen.
    pub name: Text,
}

/// Finds a set by its number.
pub fn permission_set(id: u32) -> Option<&'static PermissionSet> {
    PERMISSION_SETS.iter().find(|set| set.id == id)
}

/// All sets, by number.
pub static PERMISSION_SETS: &[PermissionSet] = &[
    PermissionSet { id: 1, name: text!("Messages") },
    PermissionSet { id: 2, name: text!("Users") },
    PermissionSet { id: 3, name: text!("Account service") },
    PermissionSet { id: 4, name: text!("Web pages") },
    PermissionSet { id: 5, name: text!("Shop") },
    PermissionSet { id: 6, name: text!("Customer service by several agents") },
    PermissionSet { id: 7, name: text!("Mass messages and notices") },
    PermissionSet { id: 8, name: text!("Cards and coupons") },
    PermissionSet { id: 9, name: text!("Scan") },
    PermissionSet { id: 10, name: text!("Wi-Fi") },
    PermissionSet { id: 11, name: text!("Material") },
    PermissionSet { id: 12, name: text!("Shake") },
    PermissionSet { id: 13, name: text!("Stores") },
    PermissionSet { id: 15, name: text!("Custom menu") },
    PermissionSet { id: 22, name: text!("City services") },
    PermissionSet { id: 23, name: text!("Advertising") },
    PermissionSet { id: 24, name: text!("Open platform account") },
    PermissionSet { id: 26, name: text!("Electronic invoices") },
    PermissionSet { id: 27, name: text!("Quick registration of mini programs") },
    PermissionSet { id: 33, name: text!("Mini program management") },
    PermissionSet { id: 34, name: text!("Set 34") },
    PermissionSet { id: 44, name: text!("Set 44") },
    PermissionSet { id: 46, name: text!("Set 46") },
    PermissionSet { id: 47, name: text!("Set 47") },
    PermissionSet { id: 54, name: text!("Set 54") },
    PermissionSet { id: 66, name: text!("Set 66") },
    PermissionSet { id: 89, name: text!("Set 89") },
    PermissionSet { id: 171, name: text!("Debug push 171") },
    PermissionSet { id: 172, name: text!("Debug push of accounts") },
    PermissionSet { id: 173, name: text!("Debug push 173") },
    PermissionSet { id: 174, name: text!("Debug push 174") },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_and_unique() {
        assert!(PERMISSION_SETS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(permission_set(1).map(|set| set.name.chinese()).as_deref(), Some("消息管理"));
        assert!(permission_set(16).is_none());
    }
}
