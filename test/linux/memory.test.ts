/** The limit of control groups, from files as the kernel writes them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { memoryLimit } from '../../src/linux/memory.ts'
import { writeFiles } from '../support/repository.ts'

let folder = ''
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'meridian-cgroup-'))))
afterEach(() => rmSync(folder, { recursive: true }))

const limitOf = (own: string, files: Readonly<Record<string, string>>): number | undefined => {
  writeFiles(folder, { own, ...files })
  return memoryLimit(folder, join(folder, 'own'))
}
const V1 = '9:name=systemd:/\n4:memory:/docker/ab\n0::/\n'

test.each([
  ['v2, its own', '0::/a/b\n', { 'a/b/memory.max': '536870912\n', 'a/memory.max': 'max\n' }, 536_870_912],
  ['v2, of a group above', '0::/a/b\n', { 'a/b/memory.max': 'max\n', 'a/memory.max': '1073741824\n' }, 1_073_741_824],
  ['v2, the least of both', '0::/a/b\n', { 'a/b/memory.max': '900\n', 'a/memory.max': '800\n' }, 800],
  ['v2, at the top of a container', '0::/\n', { 'memory.max': '700\n' }, 700],
  ['v2, none', '0::/a\n', { 'a/memory.max': 'max\n' }, undefined],
  ['v1', V1, { 'memory/docker/ab/memory.stat': 'cache 5\nhierarchical_memory_limit 600\n' }, 600],
  ['v1, at the top of a container', V1, { 'memory/memory.stat': 'hierarchical_memory_limit 500\n' }, 500],
  ['v1, none', V1, { 'memory/memory.stat': 'hierarchical_memory_limit 9223372036854771712\n' }, undefined],
  ['no control groups', '', {}, undefined],
])('%s', (_, own, files, limit) => {
  expect(limitOf(own, files)).toBe(limit)
})
