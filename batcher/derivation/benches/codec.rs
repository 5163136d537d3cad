//! Size and CPU of a channel, against RLP and zlib as OP's singular batches have them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod traffic;

use std::hint::black_box;
use std::io::Write;

use alloy_rlp::Encodable;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use derivation::{BatchBlock, blobs_from_channel, channel_from_blobs, decode_channel, encode_channel};
use flate2::{Compression, write::ZlibEncoder};

const COUNT: usize = 2_000;

fn zlib_rlp(blocks: &[BatchBlock]) -> Vec<u8> {
    let mut rlp = Vec::new();
    for block in blocks {
        block.timestamp_ms.encode(&mut rlp);
        block.leader.encode(&mut rlp);
        block.l1_origin.encode(&mut rlp);
        block.transactions.encode(&mut rlp);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&rlp).unwrap();
    encoder.finish().unwrap()
}

fn codec(criterion: &mut Criterion) {
    let traffic = [
        ("transfers", traffic::transfers(COUNT)),
        ("tokens", traffic::token_transfers(COUNT)),
        ("swaps", traffic::swaps(COUNT)),
    ];
    for (name, blocks) in traffic {
        let channel = encode_channel(&blocks).unwrap();
        let raw: usize = blocks.iter().flat_map(|block| &block.transactions).map(|bytes| bytes.len()).sum();
        let zlib = zlib_rlp(&blocks).len();
        let each = |bytes: usize| bytes as f64 / COUNT as f64;
        println!(
            "{name}: {:.1} bytes a transaction, zlib {:.1}, raw {:.1}",
            each(channel.len()),
            each(zlib),
            each(raw)
        );
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(COUNT as u64));
        group.bench_function("encode", |b| b.iter(|| encode_channel(black_box(&blocks)).unwrap()));
        group.bench_function("decode", |b| b.iter(|| decode_channel(black_box(&channel)).unwrap()));
        group.bench_function("zlib_encode", |b| b.iter(|| zlib_rlp(black_box(&blocks))));
        let blobs = blobs_from_channel(&channel).unwrap();
        group.bench_function("frames", |b| b.iter(|| channel_from_blobs(black_box(&blobs)).unwrap()));
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
