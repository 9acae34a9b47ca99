/**
 * The date format of HTTP.
 *
 * @module
 */

const DAY_NAMES = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/**
 * Formats a time as RFC 9110 section 5.6.7 asks of a sender.
 *
 * `IMF-fixdate = day-name "," SP date1 SP time-of-day SP GMT`
 *
 * `Date.prototype.toUTCString` gives the same text today, but ECMA-262 pads years differently beyond four digits and
 * the wire format should not hang on it.
 */
export function formatImfFixdate(wallTimeMs: number): string {
  const date = new Date(wallTimeMs);
  const day = DAY_NAMES[date.getUTCDay()];
  const month = MONTH_NAMES[date.getUTCMonth()];
  const year = String(date.getUTCFullYear()).padStart(4, "0");
  const time = `${twoDigits(date.getUTCHours())}:${twoDigits(date.getUTCMinutes())}:${twoDigits(date.getUTCSeconds())}`;
  return `${day}, ${twoDigits(date.getUTCDate())} ${month} ${year} ${time} GMT`;
}
