/**
 * The files of a folder of zones, by their names alone: which are zones, which are services, and which are unknown
 * unless another file includes them. load.ts lists the folder first, and reports unknown files once it knows all
 * includes.
 *
 *   example.com.yaml    a zone               example.com./*.yaml      a zone too, or another part of the same zone
 *   services/*.yaml     services             common.yaml, records/    unknown, if nothing includes them
 */
import { join } from 'node:path'
import { parseUnicodeName } from '../dns/idna.ts'
import { type Fault, isFault, keyOf, lowerName } from '../dns/name.ts'
import { nearestWord, messageOf, type Report } from '../problem.ts'
import type { Files } from './files.ts'

/** All paths are relative to the folder, and sorted. */
export interface Listing {
  readonly zones: readonly ZoneSource[]
  readonly services: readonly string[]
  readonly hasDefaults: boolean
  readonly hasSites: boolean
  readonly hasDrills: boolean
  readonly unknown: readonly ListedEntry[]
}

/** The files of a zone: `NAME.DOMAIN.yaml`, those of the folder `NAME.DOMAIN.`, or both. */
export interface ZoneSource {
  readonly apex: Uint8Array | Fault
  readonly files: readonly string[]
  /** The folder, if there is one. */
  readonly folder: string | undefined
}

interface ListedEntry {
  readonly path: string
  readonly isFolder: boolean
  readonly isLink: boolean
}

/** Lists a folder of zones and reports what does not belong there. */
export class Lister {
  readonly #folder: string
  readonly #files: Files
  readonly #report: Report

  constructor(folder: string, files: Files, report: Report) {
    this.#folder = folder
    this.#files = files
    this.#report = report
  }

  async list(): Promise<Listing> {
    const zones = new Map<string, ZoneSource>()
    const services: string[] = []
    const others: string[] = []
    const unknown: ListedEntry[] = []
    for (const entry of await this.#entries('')) {
      const { path, isFolder } = entry
      if (isFolder && (path === 'services' || path.endsWith('.'))) {
        const files: string[] = []
        for (const inner of await this.#entries(path)) {
          if (!inner.isFolder && inner.path.endsWith('.yaml')) files.push(inner.path)
          else unknown.push(inner)
        }
        if (path === 'services') for (const file of files) services.push(file)
        else this.#addZone(zones, path, files, path)
      } else if (isFolder) unknown.push(entry)
      else if (path === 'services.yaml') services.push(path)
      else if (['defaults.yaml', 'sites.yaml', 'drills.yaml'].includes(path)) others.push(path)
      else if (path.endsWith('.yaml') && path.slice(0, -5).includes('.')) {
        this.#addZone(zones, path.slice(0, -5), [path], undefined)
      } else unknown.push(entry)
    }
    return {
      zones: [...zones.values()],
      services,
      hasDefaults: others.includes('defaults.yaml'),
      hasSites: others.includes('sites.yaml'),
      hasDrills: others.includes('drills.yaml'),
      unknown,
    }
  }

  /**
   * A file and a folder of one name are one zone (octoDNS's hybrid). Two files or two folders are two, which load.ts
   * reports.
   */
  #addZone(zones: Map<string, ZoneSource>, name: string, files: readonly string[], folder: string | undefined): void {
    const parsed = parseUnicodeName(name)
    const apex = isFault(parsed) ? parsed : lowerName(parsed)
    const key = isFault(apex) ? name : keyOf(apex)
    const other = zones.get(key)
    if (other === undefined) zones.set(key, { apex, files, folder })
    else if (folder === undefined && other.files.every((file) => other.folder && file.startsWith(`${other.folder}/`))) {
      zones.set(key, { ...other, files: [...other.files, ...files] })
    } else if (folder !== undefined && other.folder === undefined) {
      zones.set(key, { apex, files: [...files, ...other.files], folder })
    } else zones.set(name, { apex, files, folder })
  }

  /**
   * Reports the unknown files that are not included. `isIncluded`: whether a file is included, or a folder has included
   * files in it. Links to folders are not followed, for they may lead in circles or anywhere; `isIncluded` is asked
   * about the link.
   */
  async reportUnknown(unknown: readonly ListedEntry[], isIncluded: (path: string) => boolean): Promise<void> {
    for (const { path, isFolder, isLink } of unknown) {
      const files = isFolder && !isLink ? await this.#filesBelow(path) : [path]
      const unused = files.filter((file) => !isIncluded(file))
      if (unused.length === files.length) this.#unknownFile(path)
      else {
        for (const file of unused) {
          const place = { file: join(this.#folder, file), line: 0, column: 0 }
          const hint = 'Include it, name it in a rule, or take it out'
          this.#report({
            code: 'include-unused',
            severity: 'warning',
            ...place,
            message: 'no file includes this one, and no rule names it',
            hint,
          })
        }
      }
    }
  }

  async #filesBelow(folder: string): Promise<string[]> {
    const files: string[][] = []
    for (const { path, isFolder, isLink } of await this.#entries(folder)) {
      files.push(isFolder && !isLink ? await this.#filesBelow(path) : [path])
    }
    return files.flat()
  }

  /**
   * The entries of a folder. Names that begin with a dot are left out, except octoDNS's `.yaml` (the records of the
   * apex). So are the temporary files of editors: they must not fail a reload.
   */
  async #entries(folder: string): Promise<readonly ListedEntry[]> {
    const path = join(this.#folder, folder)
    try {
      const entries = await this.#files.list(path)
      const known = entries.filter(({ name }) =>
        name.startsWith('.') ? name === '.yaml' && folder !== '' : name !== 'README.md' && !EDITORS.test(name),
      )
      return known
        .map(({ name, ...kind }) => ({ path: folder === '' ? name : `${folder}/${name}`, ...kind }))
        .toSorted((a, b) => (a.path < b.path ? -1 : 1))
    } catch (error) {
      const message = messageOf(error)
      const hint = 'A folder that the process may read'
      this.#report({ code: 'file-unreadable', severity: 'error', file: path, line: 0, column: 0, message, hint })
      return []
    }
  }

  #unknownFile(path: string): void {
    const place = { file: join(this.#folder, path), line: 0, column: 0 }
    const hint = hintFor(path)
    this.#report({
      code: 'file-unknown',
      severity: 'error',
      ...place,
      message: 'a folder of zones has no such file, and no other file includes it',
      hint,
    })
  }
}

/** Emacs, nano and others: `x.yaml~`, `#x.yaml#`. */
const EDITORS = /~$|^#.*#$/

function hintFor(path: string): string {
  if (path.endsWith('.yml')) return 'Rename it to .yaml'
  const word = path.replace(/\.yaml$/, '') // what all of them end with makes none more like another
  const near = word.includes('/') ? undefined : nearestWord(word, ['defaults', 'sites', 'services', 'drills'])
  if (near !== undefined) return `Did you mean ${near}.yaml?`
  const zone = 'A zone is a file named like example.com.yaml, or a folder named like example.com. (with the last dot)'
  return /^[^./]+\.yaml$/.test(path) ? `${zone}; one of a single label is always a folder: ${word}./` : zone
}
