//! Multi-head attention whose score matrix never leaves the cache, with its gradient.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::activations::exp;
use super::products::{View, product};
use super::values::{cpu_slice, dot, max, sum, tensor_like, tensor_slice};
use crate::kernels::dispatch::dispatch;

struct Attention {
    n_heads: usize,
    /// Key and value heads, each shared by as many query heads.
    n_kv_heads: usize,
    causal: bool,
}

/// Queries whose scores one task holds.
const QUERIES_PER_TASK: usize = 64;

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    n_queries: usize,
    n_keys: usize,
    /// Width of all query heads.
    d: usize,
    /// Width of all key heads.
    d_kv: usize,
    d_head: usize,
}

impl Attention {
    fn sizes(&self, queries: &Shape, keys: &Shape) -> Result<Sizes> {
        let ((batch, n_queries, d), (key_batch, n_keys, d_kv)) = (queries.dims3()?, keys.dims3()?);
        let fits = batch == key_batch
            && d % self.n_heads == 0
            && self.n_heads.is_multiple_of(self.n_kv_heads)
            && d / self.n_heads * self.n_kv_heads == d_kv;
        if !fits {
            bail!(
                "attention of {queries:?} over {keys:?} with {} and {} heads",
                self.n_heads,
                self.n_kv_heads
            );
        }
        if self.causal && n_queries > n_keys {
            bail!("causal attention needs a key for each of {n_queries} queries, found {n_keys}");
        }
        Ok(Sizes {
            n_queries,
            n_keys,
            d,
            d_kv,
            d_head: d / self.n_heads,
        })
    }

    /// Where the key head of the query head that begins at `at` begins.
    fn key_at(&self, at: usize, sizes: Sizes) -> usize {
        at / sizes.d_head / (self.n_heads / self.n_kv_heads) * sizes.d_head
    }

    /// Keys that query `i` sees.
    fn visible(&self, i: usize, sizes: Sizes) -> usize {
        if self.causal {
            i + 1 + sizes.n_keys - sizes.n_queries
        } else {
            sizes.n_keys
        }
    }

    /// Attention weights of one head and the queries from `first` on, `[q.rows, k.rows]`, into
    /// `weights`.
    fn weights(
        &self,
        weights: &mut [f32],
        (q, first): (View<'_>, usize),
        k: View<'_>,
        sizes: Sizes,
    ) {
        let scale = 1.0 / (sizes.d_head as f32).sqrt();
        product(weights, k.rows, q, k.transposed(), scale);
        for (i, row) in weights.chunks_mut(k.rows).take(q.rows).enumerate() {
            let (seen, unseen) = row.split_at_mut(self.visible(first + i, sizes).min(k.rows));
            unseen.fill(0.0);
            let highest = max(seen);
            for value in seen.iter_mut() {
                *value = exp(*value - highest);
            }
            let total = 1.0 / sum(seen);
            for value in seen.iter_mut() {
                *value *= total;
            }
        }
    }
}

impl Attention {
    /// One sample: blocks of queries over threads, or heads where there is one query.
    fn forward_sample(&self, out: &mut [f32], q: &[f32], (k, v): (&[f32], &[f32]), sizes: Sizes) {
        let Sizes {
            d, d_kv, d_head, ..
        } = sizes;
        let head = |out: &mut [f32], weights: &mut Vec<f32>, q: &[f32], at: usize, first: usize| {
            let n = q.len() / d;
            // No query of the block sees further.
            let n_keys = self.visible(first + n - 1, sizes);
            weights.resize(n * n_keys, 0.0);
            let kv = self.key_at(at, sizes);
            let q = View::new(&q[at..], n, d_head, d);
            let k = View::new(&k[kv..], n_keys, d_head, d_kv);
            let v = View::new(&v[kv..], n_keys, d_head, d_kv);
            self.weights(weights, (q, first), k, sizes);
            product(out, d, View::new(weights, n, n_keys, n_keys), v, 1.0);
        };
        if sizes.n_queries == 1 {
            out.par_chunks_mut(d_head)
                .zip(q.par_chunks(d_head))
                .with_min_len((1 << 15) / (sizes.n_keys * d_head).max(1) + 1)
                .enumerate()
                .for_each_init(Vec::new, |weights, (i, (out, q))| {
                    let kv = self.key_at(i * d_head, sizes);
                    weights.resize(sizes.n_keys, 0.0);
                    attend(out, weights, q, (&k[kv..], &v[kv..]), d_kv);
                });
            return;
        }
        out.par_chunks_mut(QUERIES_PER_TASK * d)
            .zip(q.par_chunks(QUERIES_PER_TASK * d))
            .enumerate()
            .for_each_init(Vec::new, |weights, (task, (out, q))| {
                for at in (0..d).step_by(d_head) {
                    head(&mut out[at..], weights, q, at, task * QUERIES_PER_TASK);
                }
            });
    }
}

/// Inner products of `q` with the first values of each row of `keys`, rows `step` apart, times
/// `factor`.
fn scores(scores: &mut [f32], q: &[f32], keys: &[f32], step: usize, factor: f32) {
    #[cfg(target_arch = "x86_64")]
    if q.len().is_multiple_of(16)
        && let Some(simd) = pulp::x86::V4::try_new()
    {
        crate::kernels::wide::scores(simd, scores, q, keys, step, factor);
        return;
    }
    for (score, key) in scores.iter_mut().zip(keys.chunks(step)) {
        *score = factor * dot(q, &key[..q.len()]);
    }
}

/// Attention of one query of one head, without the detour that a product of matrices is then.
///
/// # Shapes
/// - `out`, `q`: `[d_head]`; `weights`: `[n_keys]`, scratch
/// - `k`, `v`: the head's columns of `[n_keys, step]`
fn attend(out: &mut [f32], weights: &mut [f32], q: &[f32], (k, v): (&[f32], &[f32]), step: usize) {
    let d_head = q.len();
    scores(weights, q, k, step, 1.0 / (d_head as f32).sqrt());
    dispatch(
        #[inline(always)]
        || {
            let highest = max(weights);
            for value in weights.iter_mut() {
                *value = exp(*value - highest);
            }
            let total = 1.0 / sum(weights);
            out.fill(0.0);
            for (weight, value) in weights.iter().zip(v.chunks(step)) {
                for (out, value) in out.iter_mut().zip(&value[..d_head]) {
                    *out += weight * value;
                }
            }
            for out in out.iter_mut() {
                *out *= total;
            }
        },
    );
}

/// Adds `[n_keys, d_head]` to the columns of `target` from its first on.
fn add_head(target: &mut [f32], width: usize, of_head: &[f32], d_head: usize) {
    for (target, row) in target.chunks_mut(width).zip(of_head.chunks(d_head)) {
        for (target, value) in target.iter_mut().zip(row) {
            *target += value;
        }
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, k, v) = (cpu_slice(s1, l1)?, cpu_slice(s2, l2)?, cpu_slice(s3, l3)?);
        let sizes = self.sizes(l1.shape(), l2.shape())?;
        let (n_queries, n_keys) = (sizes.n_queries, sizes.n_keys);
        let mut out = vec![0_f32; q.len()];
        out.par_chunks_mut((n_queries * sizes.d).max(1))
            .zip(q.par_chunks((n_queries * sizes.d).max(1)))
            .zip(
                k.par_chunks((n_keys * sizes.d_kv).max(1))
                    .zip(v.par_chunks((n_keys * sizes.d_kv).max(1))),
            )
            .for_each(|((out, q), (k, v))| self.forward_sample(out, q, (k, v), sizes));
        Ok((CpuStorage::F32(out), l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let sizes = self.sizes(q.shape(), k.shape())?;
        let Sizes {
            n_queries,
            n_keys,
            d,
            d_kv,
            d_head,
        } = sizes;
        let ((qs, ql), (ks, kl)) = (q.storage_and_layout(), k.storage_and_layout());
        let ((vs, vl), (gs, gl)) = (v.storage_and_layout(), grad.storage_and_layout());
        let (q_values, k_values) = (tensor_slice(&qs, ql)?, tensor_slice(&ks, kl)?);
        let (v_values, g_values) = (tensor_slice(&vs, vl)?, tensor_slice(&gs, gl)?);
        let mut dq = vec![0_f32; q_values.len()];
        let (mut dk, mut dv) = (vec![0_f32; k_values.len()], vec![0_f32; k_values.len()]);
        let scale = 1.0 / (d_head as f32).sqrt();
        dq.par_chunks_mut(n_queries * d)
            .zip(
                dk.par_chunks_mut(n_keys * d_kv)
                    .zip(dv.par_chunks_mut(n_keys * d_kv)),
            )
            .enumerate()
            .for_each_init(
                || {
                    (
                        vec![0_f32; n_queries * n_keys],
                        vec![0_f32; n_queries * n_keys],
                    )
                },
                |(weights, scores), (sample, (dq, (dk, dv)))| {
                    let (q_at, k_at) = (sample * n_queries * d, sample * n_keys * d_kv);
                    let mut of_head = vec![0_f32; n_keys * d_head];
                    for at in (0..d).step_by(d_head) {
                        let kv = self.key_at(at, sizes);
                        let q = View::new(&q_values[q_at + at..], n_queries, d_head, d);
                        let g = View::new(&g_values[q_at + at..], n_queries, d_head, d);
                        let k = View::new(&k_values[k_at + kv..], n_keys, d_head, d_kv);
                        let v = View::new(&v_values[k_at + kv..], n_keys, d_head, d_kv);
                        self.weights(weights, (q, 0), k, sizes);
                        let by_query = View::new(weights, n_queries, n_keys, n_keys);
                        product(&mut of_head, d_head, by_query.transposed(), g, 1.0);
                        add_head(&mut dv[kv..], d_kv, &of_head, d_head);
                        product(scores, n_keys, g, v.transposed(), 1.0);
                        for (scores, weights) in
                            scores.chunks_mut(n_keys).zip(weights.chunks(n_keys))
                        {
                            let mean = dot(scores, weights);
                            for (score, weight) in scores.iter_mut().zip(weights) {
                                *score = (*score - mean) * weight;
                            }
                        }
                        let scores = View::new(scores, n_queries, n_keys, n_keys);
                        product(&mut dq[at..], d, scores, k, scale);
                        product(&mut of_head, d_head, scores.transposed(), q, scale);
                        add_head(&mut dk[kv..], d_kv, &of_head, d_head);
                    }
                },
            );
        Ok((
            Some(tensor_like(q, dq)?),
            Some(tensor_like(k, dk)?),
            Some(tensor_like(v, dv)?),
        ))
    }
}

/// Causal attention weights of one sequence, averaged over its heads.
///
/// # Shapes
/// - `q`: `[1, n, n_heads * d_head]`, `k`: `[1, n, n_kv_heads * d_head]`
/// - returns: `[n, n]`, row i over what position i sees
pub(crate) fn mean_weights(q: &Tensor, k: &Tensor, heads: [usize; 2]) -> Result<Vec<f32>> {
    let (q, k) = (q.contiguous()?, k.contiguous()?);
    let [n_heads, n_kv_heads] = heads;
    let attention = Attention {
        n_heads,
        n_kv_heads,
        causal: true,
    };
    let sizes = attention.sizes(q.shape(), k.shape())?;
    let ((qs, ql), (ks, kl)) = (q.storage_and_layout(), k.storage_and_layout());
    let (q, k) = (tensor_slice(&qs, ql)?, tensor_slice(&ks, kl)?);
    let n = sizes.n_keys;
    let mut mean = vec![0_f32; sizes.n_queries * n];
    mean.par_chunks_mut(QUERIES_PER_TASK * n)
        .zip(q.par_chunks(QUERIES_PER_TASK * sizes.d))
        .enumerate()
        .for_each_init(Vec::new, |weights, (task, (mean, q))| {
            let n_rows = q.len() / sizes.d;
            weights.resize(n_rows * n, 0.0);
            for at in (0..sizes.d).step_by(sizes.d_head) {
                let kv = attention.key_at(at, sizes);
                let q = View::new(&q[at..], n_rows, sizes.d_head, sizes.d);
                let k = View::new(&k[kv..], n, sizes.d_head, sizes.d_kv);
                attention.weights(weights, (q, task * QUERIES_PER_TASK), k, sizes);
                for (mean, weight) in mean.iter_mut().zip(weights.iter()) {
                    *mean += weight / n_heads as f32;
                }
            }
        });
    Ok(mean)
}

/// Scaled dot-product attention. With `causal`, the last query sees all keys, the one before all
/// but the last, and so on: keys may begin earlier than queries, as with a cache.
///
/// # Shapes
/// - `q`: `[batch, n_queries, n_heads * d_head]`; `k`, `v`: `[batch, n_keys, n_kv_heads * d_head]`,
///   `heads` being the two counts, the second a divisor of the first
/// - returns: like `q`
///
/// # Cost
/// The scores of 64 queries of one head per thread; the gradient computes them again, all queries
/// of a head at once.
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: [usize; 2],
    causal: bool,
) -> Result<Tensor> {
    let [n_heads, n_kv_heads] = heads;
    q.contiguous()?.apply_op3(
        &k.contiguous()?,
        &v.contiguous()?,
        Attention {
            n_heads,
            n_kv_heads,
            causal,
        },
    )
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn composed(q: &Tensor, k: &Tensor, v: &Tensor, heads: [usize; 2], causal: bool) -> Tensor {
        let (batch, n_queries, d) = q.dims3().unwrap();
        let n_keys = k.dim(1).unwrap();
        let [n_heads, n_kv_heads] = heads;
        let shared = |x: &Tensor| {
            x.reshape((batch, n_keys, n_kv_heads, 1, d / n_heads))
                .unwrap()
                .expand((batch, n_keys, n_kv_heads, n_heads / n_kv_heads, d / n_heads))
                .unwrap()
                .reshape((batch, n_keys, d))
                .unwrap()
        };
        let (k, v) = (&shared(k), &shared(v));
        let heads = |x: &Tensor, n: usize| {
            x.reshape((batch, n, n_heads, d / n_heads))
                .unwrap()
                .transpose(1, 2)
                .unwrap()
                .contiguous()
                .unwrap()
        };
        let mut scores = heads(q, n_queries)
            .matmul(&heads(k, n_keys).t().unwrap())
            .unwrap()
            .affine(1.0 / ((d / n_heads) as f64).sqrt(), 0.0)
            .unwrap();
        if causal {
            let mask: Vec<f32> = (0..n_queries * n_keys)
                .map(|i| {
                    let (query, key) = (i / n_keys, i % n_keys);
                    if key > query + n_keys - n_queries {
                        -1e9
                    } else {
                        0.0
                    }
                })
                .collect();
            let mask = Tensor::from_vec(mask, (n_queries, n_keys), q.device()).unwrap();
            scores = scores.broadcast_add(&mask).unwrap();
        }
        candle_nn::ops::softmax(&scores, 3)
            .unwrap()
            .matmul(&heads(v, n_keys))
            .unwrap()
            .transpose(1, 2)
            .unwrap()
            .reshape((batch, n_queries, d))
            .unwrap()
    }

    #[test]
    fn agrees_with_the_composed_one_and_so_do_the_gradients() {
        let wave = |n: usize, phase: f32| -> Vec<f32> {
            (0..n).map(|i| (i as f32 * 0.7 + phase).sin()).collect()
        };
        let cases = [
            (7, 7, [2, 2], false),
            (7, 7, [2, 2], true),
            (3, 20, [2, 2], true),
            (1, 20, [4, 2], true),
            (150, 150, [4, 2], true),
            (70, 90, [4, 1], false),
        ];
        for (n_queries, n_keys, heads, causal) in cases {
            let var = |n: usize, d: usize, phase: f32| {
                Var::from_vec(wave(2 * n * d, phase), (2, n, d), &Device::Cpu).unwrap()
            };
            let d_kv = 8 / heads[0] * heads[1];
            let (q, k, v) = (
                var(n_queries, 8, 0.0),
                var(n_keys, d_kv, 1.0),
                var(n_keys, d_kv, 2.0),
            );
            let ours = attention(&q, &k, &v, heads, causal).unwrap();
            let theirs = composed(&q, &k, &v, heads, causal);
            let grads = |y: &Tensor| y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let (a, b) = (grads(&ours), grads(&theirs));
            let close = |a: &Tensor, b: &Tensor| {
                let difference = (a - b).unwrap().abs().unwrap().max_all().unwrap();
                assert!(difference.to_scalar::<f32>().unwrap() < 1e-4);
            };
            close(&ours, &theirs);
            for var in [&q, &k, &v] {
                close(a.get(var).unwrap(), b.get(var).unwrap());
            }
        }
    }
}
