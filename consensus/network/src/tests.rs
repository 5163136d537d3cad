//! Real swarms on loopback, and a hostile peer that speaks the libp2p protocols but not ours.

mod codecs;
mod hostile;
mod swarms;
