// Numbers as people read them.

const count = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];

export const NONE = "–";

export const whole = (value) => count.format(value);

export const rate = (value) => (value === null ? NONE : short.format(value));

export const share = (value) => (value === null ? NONE : `${short.format(100 * value)} %`);

export function seconds(value) {
  if (value === null) return NONE;
  if (value < 1) return `${short.format(1000 * value)} ms`;
  const unit = UNITS.find(([, size]) => value >= 2 * size);
  return unit ? `${Math.floor(value / unit[1])} ${unit[0]}` : `${short.format(value)} s`;
}

export const ago = (value) => (value < 1 ? "now" : `${seconds(Math.floor(value))} ago`);
