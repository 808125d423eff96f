// A server as model sources are: the repository acme/gpt-oss-demo, of which every revision is the same commit, in the
// protocol of Hugging Face, and single files. Arguments: the folder of the repository's files, the folder of single files.
// It prints its port, tells under /count how often each file was asked for, and ends with its standard input.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'

const [repository, files] = process.argv.slice(2)
const commit = '0123456789012345678901234567890123456789'
const api = '/api/models/acme/gpt-oss-demo/'
const count = {}
const patience = 6000 // of those who fetch weights: long enough for them to be seen at it

function entry(name) {
  const data = readFileSync(join(repository, name))
  const oid = createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex')
  const file = { type: 'file', path: name, size: data.length, oid }
  if (name.endsWith('.safetensors')) {
    file.lfs = { oid: createHash('sha256').update(data).digest('hex'), size: data.length, pointerSize: 134 }
  }
  return file
}

function answer(path) {
  if (path === '/count') return JSON.stringify(count)
  if (path.startsWith(api + 'revision/')) return JSON.stringify({ id: 'acme/gpt-oss-demo', sha: commit })
  if (path === `${api}tree/${commit}`) return JSON.stringify(readdirSync(repository).map(entry))
  const [folder, name] = path.startsWith('/files/') ? [files, path.slice(7)] : [repository, path.replace(`/acme/gpt-oss-demo/resolve/${commit}/`, '')]
  if (!readdirSync(folder).includes(name)) return null
  count[name] = (count[name] ?? 0) + 1
  return readFileSync(join(folder, name))
}

const server = createServer((request, response) => {
  const body = answer(new URL(request.url, 'http://hub').pathname)
  if (body === null) {
    response.writeHead(404, { 'X-Error-Code': 'RepoNotFound' }).end()
    return
  }
  const wait = request.url.endsWith('.safetensors') ? patience : 0
  setTimeout(() => response.writeHead(200, { 'Content-Length': Buffer.byteLength(body) }).end(body), wait)
})
server.listen(0, () => console.log(server.address().port))
process.stdin.resume().on('end', () => process.exit(0))
setTimeout(() => process.exit(1), 10 * 60 * 1000)
