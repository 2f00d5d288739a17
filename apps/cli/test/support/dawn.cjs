// A stand-in for the package webgpu, named by QLORA_DAWN: Dawn with a fault of the kind that FAULT
// says. `gone:N` loses the device at the N-th submission, and there is no GPU any more; `full:N` has no room for more than N bytes
// of buffers; `none` finds no adapter; `refused` gives no device.
const { create } = require(`webgpu/dist/${process.platform}-${process.arch}/dawn.node`);
const [fault, count] = (process.env.FAULT ?? '').split(':');
let isGone = false;

function faulty(device) {
  let [submits, bytes] = [0, 0];
  const { queue } = device;
  const own = {
    lost: (value) => value,
    queue: () =>
      new Proxy(queue, {
        get(target, name) {
          const value = Reflect.get(target, name, target);
          if (typeof value !== 'function') return value;
          return (...args) => {
            if (name === 'submit' && fault === 'gone' && ++submits === Number(count)) {
              isGone = true;
              device.destroy();
            }
            return value.apply(target, args);
          };
        },
      }),
    // What does not fit is asked for as large as it can be: the driver itself refuses that.
    createBuffer: () => (descriptor) => {
      bytes += descriptor.size;
      const full = fault === 'full' && bytes > Number(count);
      const size = full ? device.limits.maxBufferSize : descriptor.size;
      return device.createBuffer({ ...descriptor, size });
    },
  };
  return new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name in own) return own[name](value);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

module.exports.create = (options) => {
  const gpu = create(options);
  return {
    dawn: gpu,
    async requestAdapter(wanted) {
      if (fault === 'none' || isGone) return null;
      const adapter = await gpu.requestAdapter(wanted);
      return new Proxy(adapter, {
        get(target, name) {
          if (name === 'requestDevice')
            return async (descriptor) => {
              if (fault === 'refused') throw new Error('too many devices');
              return faulty(await target.requestDevice(descriptor));
            };
          const value = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      });
    },
  };
};
