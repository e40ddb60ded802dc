//! The permission sets that an account can give a platform. Source: WeChat's table of permission sets of accounts; the
//! English names are ours.

use i18n::Lang;

/// One set.
#[derive(Clone, Copy, Debug)]
pub struct PermissionSet {
    /// `funcscope_category.id` on the wire.
    pub id: u32,
    en: &'static str,
    zh: &'static str,
}

impl PermissionSet {
    /// Its name.
    pub fn name(&self, lang: Lang) -> &'static str {
        lang.pick(self.en, self.zh)
    }
}

/// The set of this number.
pub fn permission_set(id: u32) -> Option<&'static PermissionSet> {
    PERMISSION_SETS.iter().find(|set| set.id == id)
}

macro_rules! permission_sets {
    ($($id:literal $en:literal $zh:literal;)*) => {
        /// All of them, by number.
        pub static PERMISSION_SETS: &[PermissionSet] = &[$(PermissionSet { id: $id, en: $en, zh: $zh }),*];
    };
}

permission_sets! {
    1 "Messages" "消息管理";
    2 "Users" "用户管理";
    3 "Account service" "账号服务";
    4 "Web pages" "网页服务";
    5 "Shop" "微信小店";
    6 "Customer service by several agents" "微信多客服";
    7 "Mass messages and notices" "群发与通知";
    8 "Cards and coupons" "微信卡券";
    9 "Scan" "微信扫一扫";
    10 "Wi-Fi" "微信连WIFI";
    11 "Material" "素材管理";
    12 "Shake" "微信摇周边";
    13 "Stores" "微信门店";
    15 "Custom menu" "自定义菜单";
    22 "City services" "城市服务接口";
    23 "Advertising" "广告管理";
    24 "Open platform account" "开放平台账号管理";
    26 "Electronic invoices" "微信电子发票";
    27 "Quick registration of mini programs" "快速注册小程序";
    33 "Mini program management" "小程序管理";
    34 "Set 34" "权限集 34";
    44 "Set 44" "权限集 44";
    46 "Set 46" "权限集 46";
    47 "Set 47" "权限集 47";
    54 "Set 54" "权限集 54";
    66 "Set 66" "权限集 66";
    89 "Set 89" "权限集 89";
    171 "Debug push 171" "调试推送 171";
    172 "Debug push of accounts" "公众号调试推送";
    173 "Debug push 173" "调试推送 173";
    174 "Debug push 174" "调试推送 174";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_sorted_and_unique() {
        assert!(PERMISSION_SETS.windows(2).all(|pair| pair[0].id < pair[1].id));
        assert_eq!(permission_set(1).map(|set| set.name(Lang::Zh)), Some("消息管理"));
        assert!(permission_set(16).is_none());
    }
}
