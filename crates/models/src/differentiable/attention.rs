//! Multi-head attention whose score matrix never leaves the cache, with its gradient.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::activations::exp;
use super::products::{View, product};
use super::values::{cpu_slice, dot, max, sum, tensor_like, tensor_slice};

struct Attention {
    n_heads: usize,
    causal: bool,
}

/// Sizes of one call.
#[derive(Clone, Copy)]
struct Sizes {
    n_queries: usize,
    n_keys: usize,
    d: usize,
    d_head: usize,
}

impl Attention {
    fn sizes(&self, queries: &Shape, keys: &Shape) -> Result<Sizes> {
        let ((batch, n_queries, d), (key_batch, n_keys, key_d)) = (queries.dims3()?, keys.dims3()?);
        if batch != key_batch || d != key_d || d % self.n_heads != 0 {
            bail!(
                "attention of {queries:?} over {keys:?} with {} heads",
                self.n_heads
            );
        }
        if self.causal && n_queries > n_keys {
            bail!("causal attention needs a key for each of {n_queries} queries, found {n_keys}");
        }
        Ok(Sizes {
            n_queries,
            n_keys,
            d,
            d_head: d / self.n_heads,
        })
    }

    /// Keys that query `i` sees.
    fn visible(&self, i: usize, sizes: Sizes) -> usize {
        if self.causal {
            i + 1 + sizes.n_keys - sizes.n_queries
        } else {
            sizes.n_keys
        }
    }

    /// Attention weights of one head, `[n_queries, n_keys]`, into `weights`.
    fn weights(&self, weights: &mut [f32], q: View<'_>, k: View<'_>, sizes: Sizes) {
        let scale = 1.0 / (sizes.d_head as f32).sqrt();
        product(weights, sizes.n_keys, q, k.transposed(), scale);
        for (i, row) in weights.chunks_mut(sizes.n_keys).enumerate() {
            let (seen, unseen) = row.split_at_mut(self.visible(i, sizes));
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
        let Sizes {
            n_queries,
            n_keys,
            d,
            d_head,
        } = sizes;
        let mut out = vec![0_f32; q.len()];
        out.par_chunks_mut(n_queries * d)
            .zip(q.par_chunks(n_queries * d))
            .zip(k.par_chunks(n_keys * d).zip(v.par_chunks(n_keys * d)))
            .for_each_init(
                || vec![0_f32; n_queries * n_keys],
                |weights, ((out, q), (k, v))| {
                    for at in (0..d).step_by(d_head) {
                        let q = View::new(&q[at..], n_queries, d_head, d);
                        let k = View::new(&k[at..], n_keys, d_head, d);
                        let v = View::new(&v[at..], n_keys, d_head, d);
                        self.weights(weights, q, k, sizes);
                        let weights = View::new(weights, n_queries, n_keys, n_keys);
                        product(&mut out[at..], d, weights, v, 1.0);
                    }
                },
            );
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
                dk.par_chunks_mut(n_keys * d)
                    .zip(dv.par_chunks_mut(n_keys * d)),
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
                    let (q_at, k_at) = (sample * n_queries * d, sample * n_keys * d);
                    for at in (0..d).step_by(d_head) {
                        let q = View::new(&q_values[q_at + at..], n_queries, d_head, d);
                        let g = View::new(&g_values[q_at + at..], n_queries, d_head, d);
                        let k = View::new(&k_values[k_at + at..], n_keys, d_head, d);
                        let v = View::new(&v_values[k_at + at..], n_keys, d_head, d);
                        self.weights(weights, q, k, sizes);
                        let by_query = View::new(weights, n_queries, n_keys, n_keys);
                        product(&mut dv[at..], d, by_query.transposed(), g, 1.0);
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
                        product(&mut dk[at..], d, scores.transposed(), q, scale);
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

/// Scaled dot-product attention. With `causal`, the last query sees all keys, the one before all
/// but the last, and so on: keys may begin earlier than queries, as with a cache.
///
/// # Shapes
/// - `q`: `[batch, n_queries, n_heads * d_head]`; `k`, `v`: `[batch, n_keys, n_heads * d_head]`
/// - returns: like `q`
///
/// # Cost
/// One score matrix per thread; the gradient computes it again.
pub(crate) fn attention(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    n_heads: usize,
    causal: bool,
) -> Result<Tensor> {
    q.contiguous()?.apply_op3(
        &k.contiguous()?,
        &v.contiguous()?,
        Attention { n_heads, causal },
    )
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn composed(q: &Tensor, k: &Tensor, v: &Tensor, n_heads: usize, causal: bool) -> Tensor {
        let (batch, n_queries, d) = q.dims3().unwrap();
        let n_keys = k.dim(1).unwrap();
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
        for (n_queries, n_keys, causal) in [(7, 7, false), (7, 7, true), (3, 20, true)] {
            let var = |n: usize, phase: f32| {
                Var::from_vec(wave(2 * n * 8, phase), (2, n, 8), &Device::Cpu).unwrap()
            };
            let (q, k, v) = (var(n_queries, 0.0), var(n_keys, 1.0), var(n_keys, 2.0));
            let ours = attention(&q, &k, &v, 2, causal).unwrap();
            let theirs = composed(&q, &k, &v, 2, causal);
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
