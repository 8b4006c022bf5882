//! A page of docs/ as a page of the manual. Knows as much of Markdown as those pages use.

use super::roff::Page;

/// All of a page below its title, which the first section is called by.
pub fn page(page: &mut Page, markdown: &str, first: &str) {
    page.section(first);
    let (_, body) = markdown.split_once('\n').expect("a title");
    parts(page, body);
}

/// The part of a page below one of its headings.
pub fn section(page: &mut Page, markdown: &str, heading: &str) {
    let (_, part) = markdown.split_once(&format!("\n## {heading}\n")).expect("the heading");
    page.section(heading);
    parts(page, part.split("\n## ").next().unwrap_or_default());
}

fn parts(page: &mut Page, body: &str) {
    let mut lines = body.lines().peekable();
    while let Some(line) = lines.next() {
        let mut more = |is_more: &dyn Fn(&str) -> bool| {
            let mut taken = vec![line];
            while let Some(line) = lines.next_if(|line| is_more(line)) {
                taken.push(line);
            }
            taken
        };
        if line.is_empty() {
            continue;
        } else if let Some(title) = line.strip_prefix("### ") {
            page.subsection(title);
        } else if let Some(title) = line.strip_prefix("## ") {
            page.section(title);
        } else if line.starts_with("```") {
            let code = more(&|line| !line.starts_with("```"));
            page.example(&code[1..].join("\n"));
            lines.next();
        } else if line.starts_with("    ") {
            let code = more(&|line| line.starts_with("    "));
            page.example(&code.iter().map(|line| &line[4..]).collect::<Vec<_>>().join("\n"));
        } else if line.starts_with('|') {
            table(page, &more(&|line| line.starts_with('|')));
        } else if is_item(line) {
            let item = more(&|line| line.starts_with("  "));
            item_of_a_list(page, &item.join(" "));
        } else {
            page.paragraph(&more(&|line| !line.is_empty() && !is_item(line)).join(" "));
        }
    }
}

fn is_item(line: &str) -> bool {
    line.starts_with("- ") || line.split_once(". ").is_some_and(|(number, _)| number.parse::<u8>().is_ok())
}

fn item_of_a_list(page: &mut Page, item: &str) {
    match item.strip_prefix("- ") {
        Some(words) => page.bullet(words),
        None => item.split_once(' ').into_iter().for_each(|(number, words)| page.tagged(number, words)),
    }
}

/// Each row as its first cell and what is said of it; what it means first, the other columns with their headings.
fn table(page: &mut Page, rows: &[&str]) {
    let heads = cells(rows[0]);
    for row in &rows[2..] {
        let cells = cells(row);
        let is_meaning = |head: &str| head == "meaning" || heads.len() == 2;
        let (mut meaning, mut others) = (Vec::new(), Vec::new());
        for (cell, head) in cells.iter().zip(&heads).skip(1).filter(|(cell, _)| !cell.is_empty()) {
            match is_meaning(head) {
                true => meaning.push(cell.clone()),
                false => others.push(format!("{}{}: {cell}.", head[..1].to_uppercase(), &head[1..])),
            }
        }
        meaning.append(&mut others);
        page.tagged(&cells[0], &meaning.join(" "));
    }
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim_start_matches("| ").trim_end_matches('|');
    row.split(" | ").map(|cell| cell.trim().to_owned()).collect()
}
