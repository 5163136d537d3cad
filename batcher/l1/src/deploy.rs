//! Deployment of the contracts on a development L1.
