//! One [`Mark`] for each user of a period (or each user and hour of a day), in the smaller of two forms.

use hashbrown::HashTable;

use crate::counters::Mark;

#[derive(Clone, Copy, Debug)]
struct Slot {
    user: u32,
    mark: Mark,
    hour: u8,
}

/// Bytes of a slot in a table that is 7/8 full at most, with its control byte.
const SLOT_BYTES: usize = size_of::<Slot>() + 1;

/// Marks by user and hour of a day.
#[derive(Clone, Debug, Default)]
pub struct HourMarks(HashTable<Slot>);

impl HourMarks {
    /// The user's mark in that hour, empty at first.
    pub fn slot(&mut self, user: u32, hour: u8) -> &mut Mark {
        let entry = self.0.entry(
            hash(user, hour),
            |slot| slot.user == user && slot.hour == hour,
            |slot| hash(slot.user, slot.hour),
        );
        &mut entry.or_insert(Slot { user, hour, mark: Mark::default() }).into_mut().mark
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        table_bytes(&self.0)
    }
}

/// Marks by user: a hash table while few of the account's users wrote, an array by user number once that is smaller.
#[derive(Clone, Debug)]
pub enum UserMarks {
    Sparse(HourMarks),
    Dense(Vec<Mark>),
}

impl Default for UserMarks {
    fn default() -> UserMarks {
        UserMarks::Sparse(HourMarks::default())
    }
}

impl UserMarks {
    /// No marks yet, in the form that is smaller for so many. `users` is how many the account has.
    pub fn for_about(marks: usize, users: usize) -> UserMarks {
        if marks.saturating_mul(SLOT_BYTES) > (users + 64) * size_of::<Mark>() {
            UserMarks::Dense(vec![Mark::default(); users])
        } else {
            UserMarks::default()
        }
    }

    /// The user's mark, empty at first. `users` is how many the account has.
    pub fn slot(&mut self, user: u32, users: usize) -> &mut Mark {
        self.become_dense_if_smaller(users);
        match self {
            UserMarks::Sparse(marks) => marks.slot(user, 0),
            UserMarks::Dense(marks) => {
                let at = user as usize;
                if at >= marks.len() {
                    marks.resize(at + 1, Mark::default());
                }
                &mut marks[at]
            }
        }
    }

    fn become_dense_if_smaller(&mut self, users: usize) {
        if let UserMarks::Sparse(marks) = self
            && marks.0.len() * SLOT_BYTES > (users + 64) * size_of::<Mark>()
        {
            let mut dense = vec![Mark::default(); users];
            for slot in &marks.0 {
                if slot.user as usize >= dense.len() {
                    dense.resize(slot.user as usize + 1, Mark::default());
                }
                dense[slot.user as usize] = slot.mark;
            }
            *self = UserMarks::Dense(dense);
        }
    }

    /// Visits every user that has a mark.
    pub fn each(&self, mut visit: impl FnMut(u32, Mark)) {
        match self {
            UserMarks::Sparse(marks) => marks.0.iter().for_each(|slot| visit(slot.user, slot.mark)),
            UserMarks::Dense(marks) => (0..)
                .zip(marks)
                .filter(|(_, mark)| !mark.is_empty())
                .for_each(|(user, mark)| visit(user, *mark)),
        }
    }

    /// Memory in bytes.
    pub fn bytes(&self) -> usize {
        match self {
            UserMarks::Sparse(marks) => marks.bytes(),
            UserMarks::Dense(marks) => marks.capacity() * size_of::<Mark>(),
        }
    }
}

/// Memory of a hash table in bytes: its slots and a control byte each, at a load of 7/8.
pub fn table_bytes<T>(table: &HashTable<T>) -> usize {
    table.capacity() * 8 / 7 * (size_of::<T>() + 1)
}

/// User numbers are our own and dense, so a multiplication spreads them; no peer can choose them.
fn hash(user: u32, hour: u8) -> u64 {
    let mixed = (u64::from(user) | u64::from(hour) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ mixed >> 32
}
