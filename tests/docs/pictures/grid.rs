//! A drawing in characters: which cells its lines connect, and which lines are boxes.

/// A class, the corners from the upper left clockwise, and what else the borders are made of.
const BOXES: [(&str, [char; 4], &str); 5] = [
    ("place", ['┏', '┓', '┛', '┗'], "━┃┿╂"),
    ("place many", ['╒', '╕', '╛', '╘'], "═│╪"),
    ("ours", ['╔', '╗', '╝', '╚'], "═║╤╧╟╢"),
    ("other", ['┌', '┐', '┘', '└'], "─│┬┴├┤"),
    ("kept", ['╭', '╮', '╯', '╰'], "─│┬┴├┤"),
];

/// Up, right, down, left: where a character's lines lead from the middle of its cell.
pub fn arms(c: char) -> [bool; 4] {
    let leads = |characters: &str| characters.contains(c);
    [leads("│┆└┘├┤┴╧▼▲┿╪"), leads("─┄┌└├┬┴╟◀╂"), leads("│┆┌┐├┤┬╤▼▲┿╪"), leads("─┄┐┘┤┬┴╢▶╂")]
}

pub struct Grid(Vec<Vec<char>>);

impl Grid {
    pub fn of(drawing: &str) -> Grid {
        Grid(drawing.lines().map(|line| line.chars().collect()).collect())
    }

    pub fn size(&self) -> (usize, usize) {
        (self.0.iter().map(Vec::len).max().unwrap_or_default(), self.0.len())
    }

    pub fn rows(&self) -> impl Iterator<Item = &Vec<char>> {
        self.0.iter()
    }

    pub fn at(&self, x: usize, y: usize) -> char {
        self.0.get(y).and_then(|row| row.get(x)).copied().unwrap_or(' ')
    }

    pub fn cells(&self) -> impl Iterator<Item = (usize, usize)> {
        self.0.iter().enumerate().flat_map(|(y, row)| (0..row.len()).map(move |x| (x, y)))
    }
}

pub struct Box {
    pub class: &'static str,
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
}

impl Box {
    /// All there are. Of what only boxes are made of, nothing is left over.
    pub fn all(grid: &Grid) -> Vec<Box> {
        let boxes: Vec<Box> = grid.cells().filter_map(|(x, y)| Box::at(grid, x, y)).collect();
        for (x, y) in grid.cells() {
            let of_a_box = "┏┓┗┛━┃╒╕╘╛╔╗╚╝═║╭╮╰╯".contains(grid.at(x, y));
            let is_on_one = boxes.iter().any(|it| it.border(grid, x, y).is_some());
            assert!(!of_a_box || is_on_one, "no box is closed around line {}, column {}", y + 1, x + 1);
        }
        boxes
    }

    /// The one that has its upper left corner here.
    fn at(grid: &Grid, left: usize, top: usize) -> Option<Box> {
        let (class, corners, border) = BOXES.iter().find(|(_, corners, _)| corners[0] == grid.at(left, top))?;
        let end = |mut next: std::ops::RangeFrom<usize>, cell: &dyn Fn(usize) -> char, corner| {
            next.find(|&n| !border.contains(cell(n))).filter(|&n| cell(n) == corner)
        };
        let right = end(left + 1.., &|x| grid.at(x, top), corners[1])?;
        let bottom = end(top + 1.., &|y| grid.at(left, y), corners[3])?;
        let closed = grid.at(right, bottom) == corners[2];
        let class = if *class == "kept" && grid.at(left + 2, top + 1).is_ascii_digit() { "exit" } else { class };
        closed.then_some(Box { class, left, top, right, bottom })
    }

    pub fn holds(&self, x: usize, y: usize) -> bool {
        (self.left..=self.right).contains(&x) && (self.top..=self.bottom).contains(&y)
    }

    /// Of the arms of a cell on its border, those that lead out of it; all of those that cross a place's. None elsewhere.
    pub fn border(&self, grid: &Grid, x: usize, y: usize) -> Option<[bool; 4]> {
        let sides = [y == self.top, x == self.right, y == self.bottom, x == self.left];
        let on = self.holds(x, y) && sides.contains(&true);
        let is_crossed = self.is_place() && "┿╂╪".contains(grid.at(x, y));
        on.then_some(if is_crossed { [true; 4] } else { sides })
    }

    pub fn is_place(&self) -> bool {
        self.class.starts_with("place")
    }

    pub fn middle(&self) -> f32 {
        (self.left + self.right + 1) as f32 / 2.0
    }
}
