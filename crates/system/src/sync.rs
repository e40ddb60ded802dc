//! Locks that stay usable after a panic elsewhere.

/// Locks, also after a panic elsewhere: what the locks guard is only changed in steps that do not panic.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
