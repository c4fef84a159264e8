//! Square field elements side by side, one in each lane: a product of two different limbs is made
//! once and counts twice.

use super::lanes::{Element, FusedMultiplyAdd, Lanes, MultiplyAdd, OFFSETS, fold};

/// The square on lanes that multiply 52-bit integers, with the bounds of `product_of_integers`.
#[inline(always)]
pub fn square_of_integers<const N: usize, L>(f: &Element<L>) -> Element<L>
where
    L: Lanes<N> + MultiplyAdd,
{
    let mut columns = [L::splat(0); 10];
    for i in 0..5 {
        for j in i + 1..5 {
            columns[i + j + 1] = columns[i + j + 1].madd52hi(f[i], f[j]);
        }
    }
    for column in &mut columns[2..9] {
        *column = column.plus(*column);
    }
    for i in 0..5 {
        columns[2 * i + 1] = columns[2 * i + 1].madd52hi(f[i], f[i]);
        for j in i + 1..5 {
            columns[i + j] = columns[i + j].madd52lo(f[i], f[j]);
        }
    }
    for column in &mut columns[1..] {
        *column = column.plus(*column);
    }
    for i in 0..5 {
        columns[2 * i] = columns[2 * i].madd52lo(f[i], f[i]);
    }
    fold(&columns)
}

/// The square on lanes that multiply doubles, with the bounds of `product_of_doubles`: what each
/// product adds to its columns beside its value is there as often, and the offsets are the same.
#[inline(always)]
pub fn square_of_doubles<const N: usize, L>(f: &Element<L>) -> Element<L>
where
    L: FusedMultiplyAdd<N>,
{
    let mut doubles = [f[0].to_doubles(); 5];
    for at in 0..5 {
        doubles[at] = f[at].to_doubles();
    }
    let mut columns = [L::splat(0); 10];
    // A loop over these would not be unrolled, and would keep all of them in memory.
    add_column::<N, 1, L>(&mut columns, &doubles);
    add_column::<N, 2, L>(&mut columns, &doubles);
    add_column::<N, 3, L>(&mut columns, &doubles);
    add_column::<N, 4, L>(&mut columns, &doubles);
    add_column::<N, 5, L>(&mut columns, &doubles);
    add_column::<N, 6, L>(&mut columns, &doubles);
    add_column::<N, 7, L>(&mut columns, &doubles);
    for column in &mut columns[1..9] {
        *column = column.plus(*column);
    }
    for at in 0..5 {
        columns[at] = columns[at].plus(L::splat(OFFSETS[at]));
    }
    for i in 0..5 {
        (columns[2 * i], columns[2 * i + 1]) =
            L::plus_product(columns[2 * i], columns[2 * i + 1], doubles[i], &doubles[i]);
    }
    fold(&columns)
}

/// Add the products of two different limbs whose lower halves are in one column.
#[inline(always)]
fn add_column<const N: usize, const AT: usize, L: FusedMultiplyAdd<N>>(
    columns: &mut [L; 10],
    doubles: &[L::Doubles; 5],
) {
    let (mut lower, mut upper) = (columns[AT], columns[AT + 1]);
    for i in 0..5 {
        if 2 * i < AT && AT - i < 5 {
            (lower, upper) = L::plus_product(lower, upper, doubles[i], &doubles[AT - i]);
        }
    }
    (columns[AT], columns[AT + 1]) = (lower, upper);
}
