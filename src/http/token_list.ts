/**
 * Lists of tokens in a field value, such as that of Connection (RFC 9110 section 5.6.1).
 *
 * @module
 */

/**
 * Calls back with each element of a comma-separated list, in lower case and without the white space around it.
 *
 * `#element => [ element ] *( OWS "," OWS [ element ] )` (RFC 9110 section 5.6.1.2: empty elements are ignored).
 */
export function forEachListElement(value: string, callback: (lowerCaseElement: string) => void): void {
  // The common values hold one element and neither commas nor white space.
  if (value.indexOf(",") < 0) {
    const only = trimOws(value);
    if (only !== "") callback(only.toLowerCase());
    return;
  }
  for (const part of value.split(",")) {
    const element = trimOws(part);
    if (element !== "") callback(element.toLowerCase());
  }
}

/** Whether a list has an element, which is given in lower case. */
export function hasListElement(value: string, lowerCaseElement: string): boolean {
  let has = false;
  forEachListElement(value, (element) => {
    if (element === lowerCaseElement) has = true;
  });
  return has;
}

/** Removes `OWS = *( SP / HTAB )` at both ends; `String.prototype.trim` would also remove what OWS is not. */
export function trimOws(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isOws(value.charCodeAt(start))) start++;
  while (end > start && isOws(value.charCodeAt(end - 1))) end--;
  return start === 0 && end === value.length ? value : value.slice(start, end);
}

function isOws(charCode: number): boolean {
  return charCode === 0x20 || charCode === 0x09;
}
