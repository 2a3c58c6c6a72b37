/**
 * Divides a rectangle among items in proportion to their sizes: the items are halved by size again and again,
 * and the rectangle is cut across its longer side.
 * @param {{ size: number }[]} items
 * @param {{ x: number, y: number, width: number, height: number }} box
 * @returns {{ item: object, x: number, y: number, width: number, height: number }[]}
 */
export function layOutTreemap(items, box) {
  const sorted = items.filter(({ size }) => size > 0).sort((a, b) => b.size - a.size);
  return sorted.length === 0 ? [] : divide(sorted, box);
}

function divide(items, box) {
  if (items.length === 1) return [{ item: items[0], ...box }];
  const total = sum(items);
  let count = 0;
  let first = 0;
  while (count === 0 || (count < items.length - 1 && first + items[count].size / 2 < total / 2)) {
    first += items[count].size;
    count++;
  }
  const [one, other] = cut(box, first / total);
  return [...divide(items.slice(0, count), one), ...divide(items.slice(count), other)];
}

function cut({ x, y, width, height }, share) {
  if (width >= height) {
    const split = width * share;
    return [
      { x, y, width: split, height },
      { x: x + split, y, width: width - split, height },
    ];
  }
  const split = height * share;
  return [
    { x, y, width, height: split },
    { x, y: y + split, width, height: height - split },
  ];
}

function sum(items) {
  return items.reduce((total, { size }) => total + size, 0);
}
