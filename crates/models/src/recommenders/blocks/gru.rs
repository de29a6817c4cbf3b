//! A gated recurrent layer (GRU) over histories of different lengths, as `PyTorch` defines it.

use super::super::kernels::product::{Factor, Write, linear, product};
use super::super::kernels::vectors::add_rows;
use super::super::weights::GruWeights;

/// What the forward pass keeps for the backward pass. Rows stand in the order of the input.
pub(crate) struct KeptGru {
    /// Input rows, `[n, d_in]`.
    x: Vec<f32>,
    /// Reset, update and new gate of each row, `[n, 3 width]`.
    gates: Vec<f32>,
    /// The state's share of the new gate before it is reset, `[n, width]`.
    recurrent: Vec<f32>,
    /// State after each row, `[n, width]`.
    states: Vec<f32>,
    /// Rows that are computed together: of step t, the row of every history longer than t.
    steps: Vec<Vec<usize>>,
}

impl KeptGru {
    /// State after each row, `[n, width]`.
    pub(crate) fn states(&self) -> &[f32] {
        &self.states
    }
}

/// Rows that stand at the same step, for every step.
fn rows_by_step(lengths: &[usize]) -> Vec<Vec<usize>> {
    let n_steps = lengths.iter().copied().max().unwrap_or(0);
    let mut steps = vec![Vec::new(); n_steps];
    let mut first = 0;
    for &length in lengths {
        for (step, rows) in steps.iter_mut().enumerate().take(length) {
            rows.push(first + step);
        }
        first += length;
    }
    steps
}

/// Rows `rows` of a matrix, one after the other.
fn gathered(matrix: &[f32], width: usize, rows: &[usize]) -> Vec<f32> {
    let mut out = Vec::with_capacity(rows.len() * width);
    for &row in rows {
        out.extend_from_slice(&matrix[row * width..(row + 1) * width]);
    }
    out
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// States after every row, starting from 0 in each history.
///
/// `r = σ(Wir x + bir + Whr h + bhr)`, `z` likewise, `n = tanh(Win x + bin + r (Whn h + bhn))`,
/// `h' = (1 − z) n + z h`.
pub(crate) fn gru_forward(gru: &GruWeights<'_>, lengths: &[usize], x: Vec<f32>) -> KeptGru {
    let width = gru.state.bias.len() / 3;
    let mut gates = linear(&x, gru.input.weight, gru.input.bias);
    let n = gates.len() / (3 * width);
    let mut recurrent = vec![0.0; n * width];
    let mut states = vec![0.0; n * width];
    let steps = rows_by_step(lengths);
    for (step, rows) in steps.iter().enumerate() {
        let before = if step == 0 {
            vec![0.0; rows.len() * width]
        } else {
            gathered(
                &states,
                width,
                &rows.iter().map(|row| row - 1).collect::<Vec<_>>(),
            )
        };
        let from_state = linear(&before, gru.state.weight, gru.state.bias);
        for ((&row, before), from_state) in rows
            .iter()
            .zip(before.chunks_exact(width))
            .zip(from_state.chunks_exact(3 * width))
        {
            let gates = &mut gates[row * 3 * width..(row + 1) * 3 * width];
            let recurrent = &mut recurrent[row * width..(row + 1) * width];
            let state = &mut states[row * width..(row + 1) * width];
            recurrent.copy_from_slice(&from_state[2 * width..]);
            for i in 0..width {
                let reset = sigmoid(gates[i] + from_state[i]);
                let update = sigmoid(gates[width + i] + from_state[width + i]);
                let new = (gates[2 * width + i] + reset * recurrent[i]).tanh();
                state[i] = (1.0 - update) * new + update * before[i];
                gates[i] = reset;
                gates[width + i] = update;
                gates[2 * width + i] = new;
            }
        }
    }
    KeptGru {
        x,
        gates,
        recurrent,
        states,
        steps,
    }
}

/// Gradients of the four tensors, in the order of the layout.
pub(crate) struct GruGradients<'a> {
    pub(crate) input_weight: &'a mut [f32],
    pub(crate) state_weight: &'a mut [f32],
    pub(crate) input_bias: &'a mut [f32],
    pub(crate) state_bias: &'a mut [f32],
}

/// Adds the gradients of the layer and returns that of its input; `g` is the gradient of every
/// state, `[n, width]`.
pub(crate) fn gru_backward(
    gru: &GruWeights<'_>,
    kept: &KeptGru,
    mut g: Vec<f32>,
    gradients: &mut GruGradients<'_>,
) -> Vec<f32> {
    let width = gru.state.bias.len() / 3;
    let n = kept.states.len() / width;
    let d_in = kept.x.len() / n.max(1);
    // Gradient of what the input adds to the gates before their non-linearity.
    let mut g_input = vec![0.0; n * 3 * width];
    for (step, rows) in kept.steps.iter().enumerate().rev() {
        let mut g_state = vec![0.0; rows.len() * 3 * width];
        let mut before = vec![0.0; rows.len() * width];
        for (at, &row) in rows.iter().enumerate() {
            let before = &mut before[at * width..(at + 1) * width];
            if step > 0 {
                before.copy_from_slice(&kept.states[(row - 1) * width..row * width]);
            }
            let gates = &kept.gates[row * 3 * width..(row + 1) * 3 * width];
            let recurrent = &kept.recurrent[row * width..(row + 1) * width];
            let g_row = &mut g[row * width..(row + 1) * width];
            let g_input = &mut g_input[row * 3 * width..(row + 1) * 3 * width];
            let g_state = &mut g_state[at * 3 * width..(at + 1) * 3 * width];
            for i in 0..width {
                let (reset, update, new) = (gates[i], gates[width + i], gates[2 * width + i]);
                let g_new = g_row[i] * (1.0 - update) * (1.0 - new * new);
                let g_update = g_row[i] * (before[i] - new) * update * (1.0 - update);
                let g_reset = g_new * recurrent[i] * reset * (1.0 - reset);
                g_input[i] = g_reset;
                g_input[width + i] = g_update;
                g_input[2 * width + i] = g_new;
                g_state[i] = g_reset;
                g_state[width + i] = g_update;
                g_state[2 * width + i] = g_new * reset;
                // What the state passes on by itself; the rest comes through the gates below.
                g_row[i] *= update;
            }
        }
        add_rows(gradients.state_bias, &g_state);
        if step == 0 {
            continue;
        }
        product(
            gradients.state_weight,
            [3 * width, width, rows.len()],
            Factor::Transposed(&g_state),
            Factor::Plain(&before),
            Write::Add,
        );
        let mut through = vec![0.0; rows.len() * width];
        product(
            &mut through,
            [rows.len(), width, 3 * width],
            Factor::Plain(&g_state),
            Factor::Plain(gru.state.weight),
            Write::Set,
        );
        for (at, &row) in rows.iter().enumerate() {
            for i in 0..width {
                g[(row - 1) * width + i] += g[row * width + i] + through[at * width + i];
            }
        }
    }
    add_rows(gradients.input_bias, &g_input);
    product(
        gradients.input_weight,
        [3 * width, d_in, n],
        Factor::Transposed(&g_input),
        Factor::Plain(&kept.x),
        Write::Add,
    );
    let mut out = vec![0.0; n * d_in];
    product(
        &mut out,
        [n, d_in, 3 * width],
        Factor::Plain(&g_input),
        Factor::Plain(gru.input.weight),
        Write::Set,
    );
    out
}
