//! Fees of one transaction over its attempts: pure arithmetic.

use alloy_primitives::U256;

use super::SendError;

/// Fees an attempt offers, in wei per gas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fees {
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
    pub(crate) blob_fee: u128,
}

/// What a transaction consumes at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumption {
    pub(crate) gas: u64,
    pub(crate) blob_gas: u64,
    pub(crate) value: U256,
}

impl Fees {
    /// A first offer: covers two doublings' worth of base fee growth, so that a few full blocks do not outbid it.
    pub(crate) const fn first(base_fee: u64, blob_base_fee: u64, tip: u128) -> Self {
        let max_fee = (base_fee as u128).saturating_mul(2).saturating_add(tip);
        Self { max_fee, tip, blob_fee: (blob_base_fee as u128).saturating_mul(2) }
    }

    /// The offer that replaces this one at the same nonce. Pools ask for 10 % more on every fee, and for 100 % more when
    /// the transaction carries blobs.
    pub(crate) fn replacement(self, fresh: Self, blobs: bool) -> Self {
        let raise =
            |fee: u128| if blobs { fee.saturating_mul(2) } else { fee.saturating_add(fee / 8).saturating_add(1) };
        let tip = raise(self.tip).max(fresh.tip);
        Self {
            tip,
            max_fee: raise(self.max_fee).max(fresh.max_fee).max(tip),
            blob_fee: raise(self.blob_fee).max(fresh.blob_fee),
        }
    }

    /// Most the transaction can cost, in wei, refused above the cap.
    pub(crate) fn check_cap(self, consumption: &Consumption, cap: U256) -> Result<(), SendError> {
        let gas = U256::from(consumption.gas).saturating_mul(U256::from(self.max_fee));
        let blob_gas = U256::from(consumption.blob_gas).saturating_mul(U256::from(self.blob_fee));
        let cost = gas.saturating_add(blob_gas).saturating_add(consumption.value);
        if cost > cap { Err(SendError::SpendingCap { cost, cap }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cap_counts_gas_blobs_and_value() {
        let fees = Fees { max_fee: 10, tip: 1, blob_fee: 3 };
        let consumption = Consumption { gas: 100, blob_gas: 7, value: U256::from(5) };
        assert!(fees.check_cap(&consumption, U256::from(1_026)).is_ok());
        let refused = SendError::SpendingCap { cost: U256::from(1_026), cap: U256::from(1_025) };
        assert_eq!(fees.check_cap(&consumption, U256::from(1_025)), Err(refused));
    }

    proptest! {
        #[test]
        fn replacement_satisfies_pools(max_fee in 0u128..1 << 100, tip in 0u128..1 << 90, blob_fee in 0u128..1 << 90, base in any::<u64>(), blobs in any::<bool>()) {
            let old = Fees { max_fee, tip, blob_fee };
            let new = old.replacement(Fees::first(base, 1, 1), blobs);
            let enough = |old: u128, new: u128| if blobs { new >= old * 2 } else { new * 10 >= old * 11 };
            prop_assert!(enough(old.max_fee, new.max_fee) && enough(old.tip, new.tip) && enough(old.blob_fee, new.blob_fee));
            prop_assert!(new.max_fee >= new.tip);
        }
    }
}
