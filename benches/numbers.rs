//! Statistics, and formatting of figures.

/// A percentile. The figures may be in any order.
pub fn percentile(figures: &[f64], percent: f64) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

pub fn median(figures: &[f64]) -> f64 {
    percentile(figures, 50.0)
}

/// The median ratio of figures that were measured at about the same time, so that disturbances of the machine cancel
/// out.
pub fn ratio(figures: &[f64], to: &[f64]) -> f64 {
    median(&figures.iter().zip(to).map(|(figure, to)| figure / to).collect::<Vec<_>>())
}

/// The figure with its significant digits.
pub fn short(figure: f64) -> String {
    match figure.abs() {
        n if n.is_nan() => "-".into(),
        n if n < 10.0 => format!("{figure:.2}"),
        n if n < 100.0 => format!("{figure:.1}"),
        _ => format!("{figure:.0}"),
    }
}

/// The figure, or an empty string.
pub fn maybe(figure: Option<f64>) -> String {
    figure.map_or("-".into(), short)
}
