//! Who gets which partitions of one topic: as few moves as balance allows. A pure function.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::state::MemberId;

/// Shares the partitions `0..owners.len()` of one topic among `members`.
///
/// `owners` names who has each partition now; `loads` counts what each member was given of other
/// topics and is counted on, so that the remainders of many small topics do not all go to one.
pub(super) fn share(
    owners: &[Option<MemberId>],
    members: &[MemberId],
    loads: &mut BTreeMap<MemberId, usize>,
) -> Vec<Option<MemberId>> {
    if members.is_empty() {
        return vec![None; owners.len()];
    }
    let has = |member: MemberId| owners.iter().filter(|owner| **owner == Some(member)).count();
    let load = |member: MemberId| loads.get(&member).copied().unwrap_or(0);
    let mut order: Vec<MemberId> = members.to_vec();
    order.sort_by_key(|member| (Reverse(has(*member)), load(*member), *member));
    let (each, more) = (owners.len() / members.len(), owners.len() % members.len());
    let mut left: Vec<(MemberId, usize)> = order
        .iter()
        .enumerate()
        .map(|(place, member)| (*member, each + usize::from(place < more)))
        .collect();
    let mut shared: Vec<Option<MemberId>> = owners
        .iter()
        .map(|owner| {
            let owner = (*owner)?;
            let (_, quota) = left.iter_mut().find(|(member, _)| *member == owner)?;
            *quota = quota.checked_sub(1)?;
            Some(owner)
        })
        .collect();
    let mut others =
        left.into_iter().flat_map(|(member, quota)| std::iter::repeat_n(member, quota));
    for slot in &mut shared {
        if slot.is_none() {
            *slot = others.next();
        }
        if let Some(member) = *slot {
            *loads.entry(member).or_default() += 1;
        }
    }
    shared
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids(ids: &[u64]) -> Vec<MemberId> {
        ids.iter().copied().map(MemberId).collect()
    }

    #[test]
    fn a_newcomer_takes_only_what_balance_asks_for() {
        let owners = vec![Some(MemberId(1)); 5];
        let shared = share(&owners, &ids(&[1, 2]), &mut BTreeMap::new());
        assert_eq!(shared, [1, 1, 1, 2, 2].map(|id| Some(MemberId(id))));
    }

    #[test]
    fn topics_of_one_partition_are_spread() {
        let (members, mut loads) = (ids(&[1, 2]), BTreeMap::new());
        assert_eq!(share(&[None], &members, &mut loads), [Some(MemberId(1))]);
        assert_eq!(share(&[None], &members, &mut loads), [Some(MemberId(2))]);
    }

    proptest! {
        #[test]
        fn every_partition_has_one_owner_and_a_second_run_moves_none(
            owners in prop::collection::vec(prop::option::of(1u64..8), 0..40),
            members in prop::collection::btree_set(1u64..8, 1..7),
        ) {
            let owners: Vec<_> = owners.into_iter().map(|owner| owner.map(MemberId)).collect();
            let members: Vec<_> = members.into_iter().map(MemberId).collect();
            let shared = share(&owners, &members, &mut BTreeMap::new());
            let counts: Vec<usize> = members
                .iter()
                .map(|member| shared.iter().filter(|owner| **owner == Some(*member)).count())
                .collect();
            prop_assert_eq!(counts.iter().sum::<usize>(), owners.len());
            prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            let again = share(&shared, &members, &mut BTreeMap::new());
            prop_assert_eq!(shared, again);
        }
    }
}
