const found = [];
const width = document.documentElement.clientWidth;
if (document.documentElement.scrollWidth > width) found.push(`the page scrolls: ${document.documentElement.scrollWidth} of ${width}`);
for (const element of document.querySelectorAll("body *")) {
  const box = element.getBoundingClientRect();
  if (box.width && (box.right > width + 0.5 || box.left < -0.5)) found.push(`wider than the screen: ${element.tagName}`);
}
// What is there for those who listen, not for those who look.
const hidden = node => node.parentElement.closest("title, style, script, .defs") || getComputedStyle(node.parentElement.closest("thead") || document.body).position == "absolute";
const texts = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode;
  if (!node.data.trim() || hidden(node)) continue;
  const range = document.createRange();
  range.selectNodeContents(node);
  for (const box of range.getClientRects()) {
    if (box.width > 1) texts.push({ text: node.data.trim().slice(0, 40), top: box.top + 2, bottom: box.bottom - 2, left: box.left + 1, right: box.right - 1 });
  }
}
texts.sort((a, b) => a.top - b.top);
for (let i = 0; i < texts.length; i++) {
  for (let j = i + 1; j < texts.length && texts[j].top < texts[i].bottom; j++) {
    const [a, b] = [texts[i], texts[j]];
    if (a.left < b.right && b.left < a.right) found.push(`one text over another: ${a.text} / ${b.text}`);
  }
}
if (texts.length < 20) found.push(`only ${texts.length} texts`);
document.title = found.slice(0, 5).join("; ") || "nothing";
