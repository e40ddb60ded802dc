//! Request ids as WeChat's errors carry them: `8hex-8hex-8hex`, the first group being Unix seconds.

use std::sync::atomic::Ordering;

use crate::app::App;

/// The next rid.
pub fn next(app: &App) -> String {
    let count = app.rids.fetch_add(1, Ordering::Relaxed);
    let seconds = app.clock.now_s().cast_unsigned() & 0xffff_ffff;
    // Spread, so that rids do not tell how many calls there were.
    let spread = (count ^ 0x5bd1_e995_9d1b_54a3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{seconds:08x}-{:08x}-{:08x}", spread >> 32, spread & 0xffff_ffff)
}
