import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';

/** A labelled control with its name in the ecosystem beside it. */
function Field({
  id,
  label,
  name,
  help,
  children,
}: {
  id: string;
  label: string;
  name?: string;
  help?: string;
  children: ComponentChildren;
}) {
  return (
    <div class="field">
      <label for={id}>
        {label}
        {name && <code>{name}</code>}
      </label>
      {children}
      {help && (
        <small id={`${id}-help`} class="muted">
          {help}
        </small>
      )}
    </div>
  );
}

export function NumberField(props: {
  label: string;
  name?: string;
  help?: string;
  value: number | undefined;
  min?: number;
  max?: number;
  step?: number | 'any';
  onChange: (value: number | undefined) => void;
}) {
  const id = useId();
  const { label, name, help, value, onChange, min, max, step = 'any' } = props;
  return (
    <Field {...{ id, label, name, help }}>
      <input
        id={id}
        type="number"
        {...{ min, max, step }}
        aria-describedby={help ? `${id}-help` : undefined}
        value={value ?? ''}
        onChange={({ currentTarget }) => {
          const { valueAsNumber } = currentTarget;
          onChange(Number.isNaN(valueAsNumber) ? undefined : valueAsNumber);
        }}
      />
    </Field>
  );
}

export function TextField(props: {
  label: string;
  name?: string;
  help?: string;
  value: string;
  placeholder?: string;
  onChange: (value: string) => void;
}) {
  const id = useId();
  const { label, name, help, value, placeholder, onChange } = props;
  return (
    <Field {...{ id, label, name, help }}>
      <input
        id={id}
        type="text"
        placeholder={placeholder}
        aria-describedby={help ? `${id}-help` : undefined}
        value={value}
        onInput={({ currentTarget }) => onChange(currentTarget.value)}
      />
    </Field>
  );
}

export function SelectField<T extends string>(props: {
  label: string;
  name?: string;
  value: T;
  choices: readonly (readonly [value: T, text: string])[];
  onChange: (value: T) => void;
}) {
  const id = useId();
  const { label, name, value, choices, onChange } = props;
  return (
    <Field {...{ id, label, name }}>
      <select
        id={id}
        value={value}
        onChange={({ currentTarget }) => onChange(currentTarget.value as T)}
      >
        {choices.map(([each, text]) => (
          <option key={each} value={each}>
            {text}
          </option>
        ))}
      </select>
    </Field>
  );
}
