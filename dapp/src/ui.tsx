// The few building blocks that both pages are made of.
import { type ReactNode, useEffect, useId, useState } from 'react';
import { duration, short } from './format';

export function Card({ title, aside, children, id }: { title?: ReactNode; aside?: ReactNode; children: ReactNode; id?: string }) {
  const heading = useId();
  return (
    <section className="card" id={id} aria-labelledby={title ? heading : undefined}>
      {title ? (
        <header className="card-head">
          <h2 id={heading}>{title}</h2>
          {aside}
        </header>
      ) : null}
      {children}
    </section>
  );
}

export function Tile({ label, value, note }: { label: string; value: ReactNode; note?: ReactNode }) {
  return (
    <div className="tile">
      <dt>{label}</dt>
      <dd>
        <span className="tile-value">{value}</span>
        {note ? <span className="note">{note}</span> : null}
      </dd>
    </div>
  );
}

export const Tiles = ({ children }: { children: ReactNode }) => <dl className="tiles">{children}</dl>;

export function Facts({ rows }: { rows: [string, ReactNode][] }) {
  return (
    <dl className="facts">
      {rows.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export type Tone = 'good' | 'warn' | 'bad' | 'calm';

export const Tag = ({ tone = 'calm', children, title }: { tone?: Tone; children: ReactNode; title?: string }) => (
  <span className={`tag ${tone}`} title={title}>
    {children}
  </span>
);

/** Something in hex, shortened; whole for screen readers, on hover, and to copy. */
export function Hex({ value, href, whole = false }: { value: string; href?: string; whole?: boolean }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), 1_500);
    return () => clearTimeout(timer);
  }, [copied]);
  const text = <span title={value}>{whole ? value : short(value)}</span>;
  return (
    <span className={whole ? 'hex whole' : 'hex'}>
      {href ? <a href={href}>{text}</a> : text}
      <button
        type="button"
        className="copy"
        aria-label={copied ? 'Copied' : `Copy ${value}`}
        onClick={() => void navigator.clipboard?.writeText(value).then(() => setCopied(true))}
      >
        <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true">
          <path d={copied ? 'M2 9l4 4 8-10' : 'M5 5h9v9H5zM2 11V2h9'} fill="none" stroke="currentColor" strokeWidth="1.6" />
        </svg>
      </button>
    </span>
  );
}

/** Milliseconds of now, again every second. */
export function useNow(everyMs = 1_000): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

/** Time left until a moment, as L1's clock has it; `offset` is L1's seconds less ours. */
export function Countdown({ until, offset, done }: { until: bigint; offset: number; done: ReactNode }) {
  const left = Number(until) - (useNow() / 1_000 + offset);
  return left <= 0 ? <>{done}</> : <time className="countdown">{duration(left)}</time>;
}

export const Loading = ({ what }: { what: string }) => (
  <p className="state" role="status">
    <span className="spinner" aria-hidden="true" /> Reading {what}…
  </p>
);

export const Empty = ({ children }: { children: ReactNode }) => <p className="state">{children}</p>;

export const Failure = ({ what, error }: { what: string; error?: unknown }) => (
  <p className="state bad" role="alert">
    <strong>{what}</strong> {error instanceof Error ? error.message.split('\n')[0] : null} It is asked again every few seconds.
  </p>
);

/** A part of a whole as a bar; `mark` draws a line, as at two thirds. */
export function Bar({ part, mark, label }: { part: number; mark?: number; label: string }) {
  const clamped = Math.min(1, Math.max(0, part || 0));
  return (
    <svg className="bar" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={label}>
      <rect className="bar-back" width="100" height="8" rx="2" />
      <rect className="bar-fill" width={clamped * 100} height="8" rx="2" />
      {mark === undefined ? null : <rect className="bar-mark" x={mark * 100 - 0.4} width="0.8" height="8" />}
    </svg>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onChange: (value: string) => void;
  hint?: ReactNode;
  error?: string;
  placeholder?: string;
  suffix?: string;
  numeric?: boolean;
  children?: ReactNode;
}

export function Field({ label, value, onChange, hint, error, placeholder, suffix, numeric, children }: FieldProps) {
  const id = useId();
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <div className="input">
        <input
          id={id}
          value={value}
          onChange={(event) => onChange(event.target.value)}
          placeholder={placeholder}
          inputMode={numeric ? 'decimal' : undefined}
          autoComplete="off"
          spellCheck={false}
          aria-invalid={error ? true : undefined}
          aria-describedby={`${id}-hint`}
        />
        {suffix ? <span className="suffix">{suffix}</span> : null}
      </div>
      {children}
      <p id={`${id}-hint`} className={error ? 'hint bad' : 'hint'}>
        {error ?? hint}
      </p>
    </div>
  );
}
