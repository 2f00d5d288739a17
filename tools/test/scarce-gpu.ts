/** How a {@link scarceGpu} behaves. */
export interface Scarcity {
  /** Bytes of buffers that its devices have memory for. */
  bytes: number;
  /** Tells as a browser does: some time after the call. */
  readonly late: boolean;
}

type Listener = ((event: GPUUncapturedErrorEvent) => void) | null;

/** The same object with some members replaced; methods run on the object itself. */
function patched<T extends object>(object: T, members: Partial<Record<keyof T, unknown>>): T {
  return new Proxy(object, {
    get(target, name) {
      if (name in members) return members[name as keyof T];
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

function scarceDevice(device: GPUDevice, scarcity: Scarcity, used: Used): GPUDevice {
  let listener: Listener = null;
  // Chromium tells errors and answers scopes in no order.
  let nth = 0;
  const later = () => new Promise((resolve) => setTimeout(resolve, (7 * ++nth) % 13));
  device.onuncapturederror = (event) => {
    event.preventDefault();
    if (scarcity.late) void later().then(() => listener?.(event));
    else listener?.(event);
  };
  const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
    const fits = used.bytes + descriptor.size <= scarcity.bytes;
    // The driver itself refuses what is larger than any memory: event and buffer are real.
    const size = fits ? descriptor.size : device.limits.maxBufferSize;
    const buffer = device.createBuffer({ ...descriptor, size });
    if (!fits) return buffer;
    used.bytes += size;
    const destroy = buffer.destroy.bind(buffer);
    let isThere = true;
    buffer.destroy = () => {
      if (isThere) used.bytes -= size;
      isThere = false;
      destroy();
    };
    return buffer;
  };
  const popErrorScope = async () => {
    const error = await device.popErrorScope();
    if (scarcity.late) await later();
    return error;
  };
  const proxy = patched(device, { createBuffer, popErrorScope });
  return new Proxy(proxy, {
    set(target, name, value) {
      if (name !== 'onuncapturederror') return Reflect.set(target, name, value);
      listener = value;
      return true;
    },
  });
}

/** Bytes of buffers that are there. */
export interface Used {
  bytes: number;
}

/** A GPU with little memory: what goes beyond it is refused by the driver itself. */
export function scarceGpu(gpu: GPU, scarcity: Scarcity, used: Used = { bytes: 0 }): GPU {
  const requestAdapter: GPU['requestAdapter'] = async (options) => {
    const adapter = await gpu.requestAdapter(options);
    if (!adapter) return null;
    const requestDevice: GPUAdapter['requestDevice'] = async (descriptor) =>
      scarceDevice(await adapter.requestDevice(descriptor), scarcity, used);
    return patched(adapter, { requestDevice });
  };
  return patched(gpu, { requestAdapter });
}
