/** Successors that do not come; one that does is in test/e2e/service-manager.test.ts. */
import { expect, test } from 'vitest'
import { makeLog } from '../../src/node/log.ts'
import { Succession } from '../../src/node/successor.ts'
import { until } from '../support/until.ts'

function succession(program: string) {
  const lines: string[] = []
  const log = makeLog({ level: 'info', node: 'n1', format: 'text', write: (line) => void lines.push(line) })
  return { lines, made: new Succession(log, program) }
}

test('a program that is broken is told, and can be tried again', async () => {
  const { lines, made } = succession('/bin/false')
  made.serves()
  for (const times of [1, 2]) {
    made.begin()
    await until('it has ended', () => lines.filter((line) => line.includes('this process goes on')).length === times)
  }
})

test('of two signals at once the second starts none', () => {
  const { lines, made } = succession('/bin/false')
  made.serves()
  made.begin()
  made.begin()
  expect(lines.filter((line) => line.includes('starting a successor:'))).toHaveLength(1)
  made.stop()
})

test('what is asked for during the start begins once the process serves', () => {
  const { lines, made } = succession('/bin/false')
  made.begin()
  expect(lines).toEqual([expect.stringContaining('it starts a successor once it serves')])
  made.serves()
  expect(lines.filter((line) => line.includes('starting a successor:'))).toHaveLength(1)
  made.stop()
})

test('a process that ends starts none', () => {
  const { lines, made } = succession('/bin/false')
  made.stop()
  made.begin()
  expect(lines).toEqual([expect.stringContaining('this process ends, and starts no successor')])
})
