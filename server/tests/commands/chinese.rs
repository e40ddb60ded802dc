//! What people read is Chinese where they asked for it, in whatever part of the program it arises.

use crate::scene::{Outcome, Scene};

#[test]
fn help_and_usage_errors_follow_the_language_and_keep_their_status() -> Outcome<()> {
    let scene = Scene::new()?;
    let help = scene.run(&["query", "--help", "--lang", "zh"])?;
    assert_eq!(help.status, 0, "{help:?}");
    assert!(help.out.contains("用法：msgcube query [选项]") && help.out.contains("第一天"), "{help:?}");
    assert!(help.err.is_empty() && !help.out.contains("Usage"), "{help:?}");
    let wrong = scene.run(&["--lang=zh", "query", "month", "--fom", "2026"])?;
    assert_eq!(wrong.status, 2, "{wrong:?}");
    assert!(wrong.out.is_empty() && wrong.err.starts_with("错误：不认识的参数 --fom\n"), "{wrong:?}");
    let english = scene.run(&["query", "month", "--fom", "2026", "--lang", "en"])?;
    assert!(english.err.starts_with("error: unexpected argument '--fom' found\n"), "{english:?}");
    Ok(())
}
