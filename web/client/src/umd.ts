// The client as one script (global ZegoExpressEngine) or CommonJS module, whose
// value is the engine's class and has the other names as members.

import { ZegoError, ZegoExpressEngine, ZegoLocalStream, ZegoStreamView } from './index';

export default Object.assign(ZegoExpressEngine, { ZegoExpressEngine, ZegoError, ZegoLocalStream, ZegoStreamView, default: ZegoExpressEngine });
