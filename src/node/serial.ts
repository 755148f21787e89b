/**
 * The SOA serial that this node served last, saved in the state folder, so that later loads are never served with a
 * lower one, also after a restart. Used by RunningNode. A file that can't be read or written is shown as trouble; it
 * never stops an answer.
 */
import { type FileKind, readState, Saver } from '../state.ts'

const FILE: FileKind = { what: 'serial', format: 'meridian serial 1' }

const isSerial = (value: unknown): value is number => Number.isInteger(value) && Number(value) >>> 0 === value

/** Reads the saved serial once, and saves each new one. */
export class SerialFile {
  readonly #saver: Saver
  readonly #file: string
  readonly #onTrouble: (trouble: string) => void
  readonly #troubles = new Map<'read' | 'save', string>()
  #serial: number | undefined

  /** Reads the file; `onTrouble` is called when trouble begins. */
  constructor(file: string, onTrouble: (trouble: string) => void) {
    this.#file = file
    this.#onTrouble = onTrouble
    this.#saver = new Saver({
      file,
      kind: FILE,
      collect: () => ({ serial: this.#serial }),
      onTrouble: (trouble) => this.#trouble('save', trouble),
    })
    this.#read()
  }

  /** The serial served last: none lower may be served. undefined: none is known. */
  get floor(): number | undefined {
    return this.#serial
  }

  /** Operational trouble as it is now, in words. */
  get troubles(): readonly string[] {
    return [...this.#troubles.values()]
  }

  #read(): void {
    const { state, trouble } = readState(this.#file, FILE)
    const serial = state?.['serial']
    if (isSerial(serial)) this.#serial = serial
    const damaged = state === undefined || isSerial(serial) ? trouble : `saved serial ${this.#file} is damaged`
    if (damaged !== undefined) this.#trouble('read', damaged)
  }

  /** Notes and saves the serial that is served now. */
  serve(serial: number): void {
    if (serial === this.#serial) return
    this.#serial = serial
    this.#troubles.delete('read')
    void this.#saver.save()
  }

  /** Waits for a write in progress; a write that failed is tried once more. */
  async stop(): Promise<void> {
    if (this.#troubles.has('save')) await this.#saver.save()
    await this.#saver.close()
  }

  #trouble(kind: 'read' | 'save', trouble: string | undefined): void {
    if (trouble === undefined) return void this.#troubles.delete(kind)
    this.#troubles.set(kind, trouble)
    this.#onTrouble(trouble)
  }
}
