//! Mutexes that stay usable after a thread panicked.

/// Locks a mutex, even if a thread panicked while holding it. The guarded data is only changed by steps that do not
/// panic, so it is still consistent.
pub fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
