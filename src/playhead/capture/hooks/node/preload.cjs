'use strict';
// Loaded into every Node below `playhead record` by NODE_OPTIONS=--require, workers and spawned Nodes included.
// Node 20's clients ignore proxy variables, so the one place they all pass, net.Socket.prototype.connect, is turned
// towards the engine on 127.0.0.1:PLAYHEAD_PORT. No dependencies; no effect without PLAYHEAD_PORT.
//
//   TLS to port 443 with the host's own name as SNI   straight to the engine, which reads the name from the ClientHello
//   any other TCP connection                          through a CONNECT of our own, which names host and port
//   unix sockets, file descriptors, the engine        untouched (a client that honours proxy variables dials the engine)

const PORT = Number(process.env.PLAYHEAD_PORT || 0);

if (PORT > 0) {
  const net = require('node:net');
  const tls = require('node:tls');
  const { Duplex } = require('node:stream');
  const LOOPBACK = new Set(['127.0.0.1', 'localhost', '::1', '::ffff:127.0.0.1']);
  const LONGEST_REPLY = 16384;
  const connectSocket = net.Socket.prototype.connect;
  const connectTls = tls.connect;
  const digging = new WeakSet(); // sockets whose tunnel is not through yet

  // connect(options[, done]) | connect(port[, host][, done]) | connect(path[, done]) | connect([options, done]) (internal)
  const readArguments = (args) => {
    if (Array.isArray(args[0])) return { options: args[0][0], done: args[0][1] };
    const done = typeof args[args.length - 1] === 'function' ? args[args.length - 1] : null;
    if (args[0] !== null && typeof args[0] === 'object') return { options: args[0], done };
    if (typeof args[0] === 'number' || /^\d+$/.test(String(args[0]))) {
      return { options: { port: Number(args[0]), host: typeof args[1] === 'string' ? args[1] : undefined }, done };
    }
    return { options: {}, done };
  };

  // The `{ host, port }` a connection is meant for, or null when it is not ours to redirect.
  const target = (options) => {
    if (!options || options.path || options.fd !== undefined || options.handle || options.onread) return null;
    const port = Number(options.port);
    const host = String(options.host || 'localhost');
    if (!(port > 0) || (port === PORT && LOOPBACK.has(host))) return null;
    return { host, port };
  };

  const engine = (options) => {
    // What concerns the way to the real host (name look-up, source address, family) does not concern the way to us.
    const { host, lookup, family, hints, localAddress, localPort, autoSelectFamily, ...rest } = options;
    return { ...rest, host: '127.0.0.1', port: PORT };
  };

  // Whether the engine will learn host and port from the ClientHello alone.
  const named = (options, to) =>
    to.port === 443 && !net.isIP(to.host) && String(options.servername || '').toLowerCase() === to.host.toLowerCase();

  net.Socket.prototype.connect = function connect(...args) {
    const { options, done } = readArguments(args);
    const to = target(options);
    if (!to) return connectSocket.apply(this, args);
    if (this instanceof tls.TLSSocket) {
      // Over a TLS handle nothing can be said in plain text first; tls.connect below sends all others by a tunnel.
      return named(options, to) ? connectSocket.call(this, engine(options), done) : connectSocket.apply(this, args);
    }
    if (done) this.once('connect', done);
    tunnel(this, to);
    return connectSocket.call(this, engine(options));
  };

  // Speak CONNECT on `socket` before anyone learns that it is connected.
  const tunnel = (socket, to) => {
    digging.add(socket);
    const emit = socket.emit;
    socket.emit = function (event, ...rest) {
      if (event === 'connect') {
        negotiate(socket, to, emit);
        return true;
      }
      if (event === 'ready') return true;
      if (event === 'error' || event === 'close') socket.emit = emit;
      return emit.call(socket, event, ...rest);
    };
  };

  const negotiate = (socket, to, emit) => {
    const authority = `${to.host.includes(':') ? `[${to.host}]` : to.host}:${to.port}`;
    const request = `CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\nPlayhead-Route: hook\r\n\r\n`;
    let reply = Buffer.alloc(0);
    const open = () => {
      delete socket.push;
      digging.delete(socket);
      socket.connecting = false;
      socket.emit = emit;
      emit.call(socket, 'connect');
      emit.call(socket, 'ready');
    };
    // The engine's reply arrives as the stream's first bytes; what follows it is the peer's.
    socket.push = (chunk) => {
      if (chunk === null) {
        refuse(socket, to);
        return false;
      }
      reply = Buffer.concat([reply, chunk]);
      const end = reply.indexOf('\r\n\r\n');
      if (end < 0 && reply.length < LONGEST_REPLY) return true;
      if (end < 0 || !/^HTTP\/1\.[01] 200 /.test(reply.toString('latin1', 0, end))) {
        refuse(socket, to);
        return false;
      }
      open();
      return reply.length > end + 4 ? socket.push(reply.subarray(end + 4)) : true;
    };
    // Straight to the handle: writes the owner has queued wait for 'connect' and must follow.
    socket._writeGeneric(false, request, 'latin1', (error) => {
      if (error) socket.destroy(error);
    });
    socket.connecting = true;
    if (socket._handle && !socket._handle.reading) {
      socket._handle.reading = true;
      socket._handle.readStart();
    }
  };

  const refuse = (socket, to) => {
    const error = new Error(`connect ECONNREFUSED ${to.host}:${to.port}`);
    socket.destroy(Object.assign(error, { code: 'ECONNREFUSED', syscall: 'connect', address: to.host, port: to.port }));
  };

  tls.connect = function connect(...args) {
    const normal = net._normalizeArgs(args);
    const extra = [args[1], args[2]].find((value) => value !== null && typeof value === 'object') || {};
    const options = args[0] !== null && typeof args[0] === 'object' ? { ...args[0] } : { ...normal[0], ...extra };
    if (options.socket && digging.has(options.socket)) {
      // TLS would take the reply to our CONNECT from the handle; over a plain stream it waits its turn.
      const stream = Duplex.from({ readable: options.socket, writable: options.socket });
      return connectTls.call(this, { ...options, socket: stream }, ...(normal[1] ? [normal[1]] : []));
    }
    const to = options.socket ? null : target(options);
    if (!to || named(options, to)) return connectTls.apply(this, args);
    // An unconnected socket is one of the things TLS can run over; the tunnel is dug in it.
    const socket = new net.Socket();
    const secure = connectTls.call(this, { ...options, host: to.host, socket }, ...(normal[1] ? [normal[1]] : []));
    socket.on('error', (error) => secure.destroy(error));
    socket.connect({ host: to.host, port: to.port });
    return secure;
  };

  // A child started with a chosen few variables (as MCP's stdio client does) gets ours back.
  const { ChildProcess } = require('node:child_process');
  const spawn = ChildProcess.prototype.spawn;
  const names = [...(process.env.PLAYHEAD_VARIABLES || '').split(',').filter(Boolean), 'PLAYHEAD_VARIABLES'];
  ChildProcess.prototype.spawn = function (options) {
    const pairs = options && options.envPairs;
    if (Array.isArray(pairs) && !pairs.some((pair) => pair.startsWith('PLAYHEAD_PORT='))) {
      const there = new Set(pairs.map((pair) => pair.slice(0, pair.indexOf('='))));
      const lost = names.filter((name) => !there.has(name) && process.env[name] !== undefined);
      options.envPairs = [...pairs, ...lost.map((name) => `${name}=${process.env[name]}`)];
    }
    return spawn.call(this, options);
  };

  require('node:module').syncBuiltinESMExports();
}
