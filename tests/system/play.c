/* SPDX-License-Identifier: GPL-2.0-or-later */
/* For the guests of sound.py and blaster.py: plays tones by OSS. play HERTZ MILLISECONDS VOLUME
 * [RATE BITS]. The volume is of the left, in percent; the right is silent. */
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/soundcard.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    int rate = argc == 6 ? atoi(argv[4]) : 48000, wide = argc != 6 || atoi(argv[5]) == 16;
    int format = wide ? AFMT_S16_LE : AFMT_U8, channels = 2, full = 100 | 100 << 8;
    int mixer = open("/dev/mixer", O_RDWR), dsp = open("/dev/dsp", O_WRONLY);
    int volume = argc >= 4 ? atoi(argv[3]) : 0;
    int frames = argc >= 4 ? (int)((long long)atoi(argv[2]) * rate / 1000) : 0;
    int16_t buf[2 * 480];
    uint8_t narrow[2 * 480];

    if (argc < 4 || mixer < 0 || dsp < 0) {
        perror("play");
        return 1;
    }
    if (ioctl(mixer, SOUND_MIXER_WRITE_VOLUME, &volume) < 0 ||
        ioctl(mixer, SOUND_MIXER_WRITE_PCM, &full) < 0 ||
        ioctl(dsp, SNDCTL_DSP_SETFMT, &format) < 0 ||
        ioctl(dsp, SNDCTL_DSP_CHANNELS, &channels) < 0 || ioctl(dsp, SNDCTL_DSP_SPEED, &rate) < 0) {
        perror("play: ioctl");
        return 1;
    }
    for (int i = 0; i < frames; i += 480) {
        for (int k = 0; k < 480; k++)
            buf[2 * k] = buf[2 * k + 1] =
                (int16_t)(2000 * sin(2 * M_PI * atoi(argv[1]) * (double)(i + k) / rate));
        for (int k = 0; k < 2 * 480; k++)
            narrow[k] = (uint8_t)((buf[k] >> 8) + 128);
        if (wide ? write(dsp, buf, sizeof(buf)) != sizeof(buf)
                 : write(dsp, narrow, sizeof(narrow)) != sizeof(narrow))
            return 1;
    }
    return ioctl(dsp, SNDCTL_DSP_SYNC, 0) < 0;
}
