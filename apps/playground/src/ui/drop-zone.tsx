import type { ComponentChildren } from 'preact';
import { useRef, useState } from 'preact/hooks';
import { chosen, dropped, type Picked } from '../state/files.js';

/** A place to drop files on, with buttons that do the same for a keyboard. */
export function DropZone(props: {
  title: string;
  help: string;
  fileLabel: string;
  folderLabel?: string;
  accept?: string;
  testId?: string;
  multiple?: boolean;
  onPick: (picked: Picked) => void;
  children?: ComponentChildren;
}) {
  const { title, help, fileLabel, folderLabel, accept, testId, multiple, onPick, children } = props;
  const [isOver, setOver] = useState(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  const take = (picked: Picked) => picked.files.length > 0 && onPick(picked);
  return (
    <section
      class={isOver ? 'drop over' : 'drop'}
      aria-label={title}
      data-testid={testId}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={async (event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer) take(await dropped(event.dataTransfer));
      }}
    >
      <strong>{title}</strong>
      <small class="muted">{help}</small>
      <div class="row">
        <button type="button" onClick={() => files.current?.click()}>
          {fileLabel}
        </button>
        {folderLabel && (
          <button type="button" onClick={() => folder.current?.click()}>
            {folderLabel}
          </button>
        )}
        {children}
      </div>
      <input
        ref={files}
        type="file"
        class="hidden"
        aria-label={fileLabel}
        tabIndex={-1}
        accept={accept}
        multiple={multiple}
        onChange={({ currentTarget }) => take(chosen(currentTarget))}
      />
      {folderLabel && (
        <input
          ref={folder}
          type="file"
          class="hidden"
          aria-label={folderLabel}
          tabIndex={-1}
          {...{ webkitdirectory: true }}
          onChange={({ currentTarget }) => take(chosen(currentTarget))}
        />
      )}
    </section>
  );
}
