/**
 * The date format of HTTP (RFC 9110 section 5.6.7): all three forms are read, and one is written.
 *
 * @module
 */

const DAY_NAMES = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTH_NAMES = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

function twoDigits(value: number): string {
  return value < 10 ? `0${value}` : `${value}`;
}

/** The three forms of RFC 9110 section 5.6.7, which a recipient has to read: IMF-fixdate, RFC 850, asctime. */
const DATE_FORMS = [
  /^\w{3}, (?<day>\d\d) (?<month>\w{3}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^\w{6,9}, (?<day>\d\d)-(?<month>\w{3})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/,
  /^\w{3} (?<month>\w{3}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/,
];

/** The time that a date of HTTP means, in milliseconds since 1970; `null` for what is none. */
export function parseHttpDate(text: string | null): number | null {
  const found = text === null ? null : DATE_FORMS.map((form) => form.exec(text)?.groups).find((groups) => groups);
  if (found === null || found === undefined) return null;
  const month = MONTH_NAMES.indexOf(found.month);
  const [hours, minutes, seconds] = found.time.split(":").map(Number);
  const day = Number(found.day);
  if (month < 0 || day < 1 || day > 31 || hours > 23 || minutes > 59 || seconds > 60) return null;
  return Date.UTC(toFullYear(found.year), month, day, hours, minutes, seconds);
}

/** Two digits that would be more than 50 years ahead mean the century before. */
function toFullYear(digits: string): number {
  if (digits.length === 4) return Number(digits);
  const now = new Date().getUTCFullYear();
  const year = now - now % 100 + Number(digits);
  return year > now + 50 ? year - 100 : year;
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
