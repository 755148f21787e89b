/**
 * The files of the setting `tsig.keys`: read at the start, and again when they change, so that a key is replaced without
 * a restart. A file that is damaged or gone later leaves the key that was read before, with a warning: transfers that
 * work must not end by an accident. Called by node/settings.ts and by node.ts.
 */
import { formatName, isFault, keyOf, lowerName, parseName } from '../dns/name.ts'
import { parseKey, type TsigKey } from '../dns/tsig.ts'
import { messageOf } from '../problem.ts'
import { type Watcher, watchPaths } from '../world/watch.ts'
import { readSecretFile } from './secret-file.ts'

/** By name, the file of each key: the setting `tsig.keys`. */
export type KeyFiles = Readonly<Record<string, readonly string[]>>

/** Whom to tell. */
export interface TsigKeysCallbacks {
  /** The keys have changed. */
  readonly onChange: (keys: readonly TsigKey[]) => void
  readonly log: (level: 'info' | 'warn', line: string) => void
}

/** Reads the file of the key `name`; a text says what is wrong with it, and never shows what is in it. */
export function readKeyFile(name: string, file: string): TsigKey | string {
  let text: string
  try {
    text = readSecretFile(file)
  } catch (error) {
    return messageOf(error)
  }
  const key = parseKey(text)
  if (typeof key === 'string') return `${file}: ${key}`
  const named = parseName(name)
  if (isFault(named) || keyOf(lowerName(named)) !== keyOf(key.name))
    return `${file}: its key is called ${formatName(key.name)}, and not ${name}`
  return key
}

/** The keys of a running node. */
export class TsigKeys {
  readonly #files: KeyFiles
  readonly #callbacks: TsigKeysCallbacks
  readonly #keys = new Map<string, TsigKey>()
  readonly #troubles = new Map<string, string>()
  #watcher: Watcher | undefined

  constructor(files: KeyFiles, callbacks: TsigKeysCallbacks) {
    this.#files = files
    this.#callbacks = callbacks
    this.#read()
  }

  /** The keys as they are now. */
  get keys(): readonly TsigKey[] {
    return [...this.#keys.values()]
  }

  /** What is wrong with the files now, in words. */
  get troubles(): readonly string[] {
    return [...this.#troubles.values()]
  }

  /** Begins to watch the files. */
  async watch(): Promise<void> {
    const paths = Object.values(this.#files).flat()
    if (paths.length === 0) return
    const look = (): void => {
      if (this.#read()) this.#callbacks.onChange(this.keys)
    }
    this.#watcher = await watchPaths(paths, {
      onChange: look,
      onPolling: (why) => this.#callbacks.log('warn', `the files of tsig.keys are looked at every 2 s: ${why}`),
    })
    look() // they may have changed since the start
  }

  async stop(): Promise<void> {
    await this.#watcher?.stop()
  }

  /** Reads all files. Returns whether a key has changed. */
  #read(): boolean {
    const { log } = this.#callbacks
    let isChanged = false
    for (const [name, [file]] of Object.entries(this.#files)) {
      const key = readKeyFile(name, file!)
      const before = this.#keys.get(name)
      if (typeof key === 'string') {
        const trouble = `tsig.keys: ${key}${before === undefined ? '' : '; the key before stays in use'}`
        if (this.#troubles.get(name) !== trouble) log('warn', trouble)
        this.#troubles.set(name, trouble)
        continue
      }
      this.#troubles.delete(name)
      if (before !== undefined && isSame(before, key)) continue
      this.#keys.set(name, key)
      isChanged = true
      if (before !== undefined) log('info', `tsig.keys: the key ${name} was replaced`)
    }
    return isChanged
  }
}

const isSame = (one: TsigKey, other: TsigKey): boolean =>
  one.algorithm === other.algorithm && keyOf(one.secret) === keyOf(other.secret)
