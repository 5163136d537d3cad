//! The height under vote: who leads it, in the protocol's and in the engine's types.

use protocol::Leadership;

use super::DriverError;
use crate::context::ValidatorSet;

#[derive(Clone)]
pub(super) struct HeightView {
    pub(super) height: u64,
    pub(super) leadership: Leadership,
    pub(super) set: ValidatorSet,
}

impl HeightView {
    pub(super) fn new(leadership: Leadership) -> Result<Self, DriverError> {
        let height = leadership.height.0;
        let set = ValidatorSet::new(&leadership).map_err(|error| DriverError::Leadership(height, error))?;
        Ok(Self { height, leadership, set })
    }
}
