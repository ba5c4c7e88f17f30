//! What tests of several folders share.

use proptest::prelude::*;

/// Settings of a property test: so many cases, or as many as `PROPTEST_CASES` says, which is
/// how `.ci/fuzz` runs them for longer. Cases in the middle of which a second begins may not
/// count, and on a slow machine these are many.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let settings = match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(cases),
    };
    ProptestConfig { max_global_rejects: u32::MAX, ..settings }
}

/// Statements that a real server accepted, or refused only after parsing.
pub(crate) const STATEMENTS: &str = include_str!("parse/conformance_statements.txt");

/// A change of a text or of a frame, at a place given as a fraction of its length.
#[derive(Debug, Clone)]
pub(crate) enum Damage<T> {
    Replace(f64, T),
    Insert(f64, T),
    Remove(f64, usize),
    Repeat(f64, usize, usize),
    Cut(f64),
}

impl<T: Clone> Damage<T> {
    pub(crate) fn done_to(&self, whole: &mut Vec<T>) {
        let place = |at: f64| ((whole.len() as f64 * at) as usize).min(whole.len());
        match self {
            Damage::Replace(at, with) => {
                let at = place(*at);
                if let Some(old) = whole.get_mut(at) {
                    *old = with.clone();
                }
            }
            Damage::Insert(at, what) => whole.insert(place(*at), what.clone()),
            Damage::Remove(at, count) => {
                let from = place(*at);
                whole.drain(from..(from + count).min(whole.len()));
            }
            Damage::Repeat(at, count, times) => {
                let from = place(*at);
                let part = whole[from..(from + count).min(whole.len())].to_vec();
                let again = part.iter().cloned().cycle().take(part.len() * times);
                whole.splice(from..from, again);
            }
            Damage::Cut(at) => whole.truncate(place(*at)),
        }
    }
}

/// Any damage with pieces of this kind.
pub(crate) fn damage<T: Clone + std::fmt::Debug + 'static>(
    piece: impl Strategy<Value = T> + Clone + 'static,
) -> impl Strategy<Value = Damage<T>> {
    let at = 0.0..1.0f64;
    prop_oneof![
        4 => (at.clone(), piece.clone()).prop_map(|(at, with)| Damage::Replace(at, with)),
        3 => (at.clone(), piece).prop_map(|(at, what)| Damage::Insert(at, what)),
        2 => (at.clone(), 1..5usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (at.clone(), 1..6usize, 1..40usize)
            .prop_map(|(at, count, times)| Damage::Repeat(at, count, times)),
        1 => at.prop_map(Damage::Cut),
    ]
}
